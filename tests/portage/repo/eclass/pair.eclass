# Two packages that are built at the same time: each waits until the other compiles too, then
# compiles units that take about a second each, so that a monitor can see them. `left` comes second,
# when `right` has created files in DISTCC_DIR.

DESCRIPTION="One of two packages that compile at the same time"
HOMEPAGE="https://example.org/"
S="${WORKDIR}"
LICENSE="MIT"
SLOT="0"
KEYWORDS="amd64 arm64"
RESTRICT="strip"

EXPORT_FUNCTIONS src_unpack src_compile src_install

# How long one waits for the other, in tenths of a second.
PAIR_PATIENCE=300

pair_src_unpack() {
	local i
	for i in 1 2 3; do
		cat > "${PN}_${i}.c" <<-'EOF' || die
			#define A(n) t += f(t, n) * g(t + n);
			#define B(n) A(n##0) A(n##1) A(n##2) A(n##3) A(n##4) A(n##5) A(n##6) A(n##7)
			#define C(n) B(n##0) B(n##1) B(n##2) B(n##3) B(n##4) B(n##5) B(n##6) B(n##7)
			#define D(n) C(n##0) C(n##1) C(n##2) C(n##3) C(n##4) C(n##5) C(n##6) C(n##7)
			static inline int f(int a, int b)
			{
				int s = 0;
				for (int i = 0; i < (b & 15); i++)
					s += a ^ (i * b);
				return s;
			}
			static inline int g(int a) { return a % 7 ? a / 3 : a * 5; }
			int slow(int t) { D(1) return t; }
		EOF
	done
}

pair_src_compile() {
	local awaited=${PORTAGE_TMPDIR}/portage/left.compiles tries=0
	touch "${PORTAGE_TMPDIR}/portage/${PN}.compiles" || die
	[[ ${PN} == left ]] && awaited="${DISTCC_DIR}/lock/cpu_tcp_*"
	until compgen -G "${awaited}" >/dev/null; do
		((tries++ < PAIR_PATIENCE)) || die "the other package does not come"
		sleep 0.1
	done
	local objects=( "${PN}"_{1,2,3}.o )
	emake CC="${CHOST}-gcc" CFLAGS=-O2 "${objects[@]}"
}

pair_src_install() {
	insinto /usr/share/${PN}
	doins *.o
}
