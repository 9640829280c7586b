# rocksdb with its tests and tools; CMake tells the commands.
cmake -S "$SOURCE" -B build -DCMAKE_EXPORT_COMPILE_COMMANDS=ON -DCMAKE_BUILD_TYPE=Release \
    -DWITH_TESTS=ON -DWITH_ALL_TESTS=ON -DWITH_TOOLS=ON -DWITH_BENCHMARK_TOOLS=ON -DWITH_GFLAGS=ON -DPORTABLE=ON
cp build/compile_commands.json .
