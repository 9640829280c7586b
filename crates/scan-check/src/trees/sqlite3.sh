# sqlite file by file, not as its amalgamation; headers are made by its own tools.
cp -r "$SOURCE" src
mkdir build
cd build
export SCAN_CHECK_STUB=-c
../src/configure --disable-amalgamation --enable-all
make -k || true
