# Builds from a checkout: set EGIT_REPO_URI to where yours is.

EAPI=8

inherit cargo git-r3 systemd

DESCRIPTION="Distributed C and C++ compiler, a drop-in for distcc"
EGIT_REPO_URI="${FARCC_REPO_URI}"

LICENSE="|| ( MIT Apache-2.0 )"
SLOT="0"

RDEPEND="
	acct-user/distcc
	!sys-devel/distcc
"

src_unpack() {
	git-r3_src_unpack
	cargo_live_src_unpack
}

src_compile() {
	cargo_src_compile --package farcc --package shim
}

src_install() {
	"$(cargo_target_dir)"/farcc util install --prefix "${EPREFIX}"/usr \
		--destdir "${D}" --sysconfdir "${EPREFIX}"/etc || die
	# Portage's own directory; clients of all users share it.
	keepdir /usr/lib/distcc
}

pkg_postinst() {
	"${EROOT}"/usr/bin/distcc-config --update-masquerade
}
