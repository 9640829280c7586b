# Linux with its default configuration. What makes headers is built; the rest of the kernel only recorded.
export KBUILD_OUTPUT=$PWD/build KBUILD_BUILD_HOST=host
mkdir build
kernel() { make -C "$SOURCE" -j"$(nproc)" "$@"; }
kernel defconfig
kernel prepare
kernel -k arch/x86/entry/vdso/ arch/x86/realmode/ || true
export SCAN_CHECK_STUB=__KERNEL__
kernel -k vmlinux modules || true
