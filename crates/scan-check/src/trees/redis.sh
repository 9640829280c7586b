# redis with its bundled libraries, recorded.
cp -r "$SOURCE" src
export SCAN_CHECK_STUB=-c
make -k -C src MALLOC=libc OPTIMIZATION=-O2 CFLAGS=-I/usr/include/liblzf || true
