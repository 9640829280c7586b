# Twelve units in C and two in C++, an archive and a program, behind a small configure step.
EAPI=8

DESCRIPTION="Compiles a known number of translation units"
HOMEPAGE="https://example.org/"
S="${WORKDIR}"

LICENSE="MIT"
SLOT="0"
KEYWORDS="amd64 arm64"
RESTRICT="strip"

src_unpack() {
	cp "${FILESDIR}"/* . || die
}

# What the sandboxes of Portage make of this phase; the test reads it, after ${T} has gone.
facts() {
	{
		echo "uid=$(id -u)"
		echo "path=${PATH}"
		echo "home=${HOME}"
		echo "distcc_dir=${DISTCC_DIR}"
		echo "proxy=${DISTCC_SOCKS_PROXY}"
		echo "pid=${BASHPID}"
		echo "preload=${LD_PRELOAD}"
		echo "interfaces=$(grep -c : /proc/net/dev)"
		if (exec 3<>/dev/tcp/127.0.0.1/3632) 2>/dev/null; then
			echo "direct=yes"
		else
			echo "direct=no"
		fi
		# Without a log it is no violation that fails the phase.
		if env SANDBOX_LOG= touch /var/lib/outside 2>/dev/null; then
			echo "outside=written"
		else
			echo "outside=refused"
		fi
	} > "${PORTAGE_TMPDIR}/portage/facts.${EBUILD_PHASE}" || die
}

src_configure() {
	facts
	"${CHOST}-gcc" ${CFLAGS} -c check.c -o check.o || die
	"${CHOST}-gcc" check.o -o check || die
	./check || die
}

src_compile() {
	facts
	emake CC="${CHOST}-gcc" CXX="${CHOST}-g++" CFLAGS="${CFLAGS}" CXXFLAGS="${CXXFLAGS}"
	./program > "${PORTAGE_TMPDIR}/portage/program.out" || die
}

src_install() {
	dobin program
}
