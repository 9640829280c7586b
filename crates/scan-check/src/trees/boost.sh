# A program over the heaviest headers of Boost, each one a source, in three versions of the language.
mkdir src
export SCAN_CHECK_STUB=-c
while read -r name headers; do
    for header in $headers; do echo "#include <boost/$header>"; done > "src/$name.cpp"
    echo "int $name() { return __LINE__; }" >> "src/$name.cpp"
    for version in 14 17 20; do
        g++ -std=c++$version -O2 -Wall -DBOOST_ALLOW_DEPRECATED_HEADERS -c "src/$name.cpp" -o "src/$name-$version.o"
    done
done <<'SOURCES'
asio asio.hpp
beast beast.hpp
containers multi_index_container.hpp bimap.hpp container/flat_map.hpp
fusion fusion/include/fusion.hpp
geometry geometry.hpp
graph graph/adjacency_list.hpp graph/dijkstra_shortest_paths.hpp
log log/trivial.hpp log/expressions.hpp
mpl mpl/vector.hpp mpl/map.hpp mpl/fold.hpp mpl/list/list50_c.hpp
numeric numeric/odeint.hpp numeric/ublas/matrix.hpp
phoenix phoenix.hpp
preprocessor preprocessor.hpp
property_tree property_tree/json_parser.hpp program_options.hpp
spirit spirit/include/qi.hpp spirit/include/karma.hpp
statechart statechart/state_machine.hpp msm/back/state_machine.hpp
text regex.hpp xpressive/xpressive.hpp locale.hpp format.hpp
SOURCES
