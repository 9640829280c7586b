# fmt without its tests, whose framework Debian keeps out of the source; CMake tells the commands.
cmake -S "$SOURCE" -B build -DCMAKE_EXPORT_COMPILE_COMMANDS=ON -DCMAKE_BUILD_TYPE=Release -DFMT_TEST=OFF
cp build/compile_commands.json .
