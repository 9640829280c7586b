# A program of Qt with its meta objects: every window and its moc output are sources.
mkdir src
export SCAN_CHECK_STUB=-c
moc=$(qmake -query QT_INSTALL_BINS)/moc
includes=$(pkg-config --cflags Qt5Widgets Qt5Network Qt5Sql Qt5Xml Qt5Concurrent Qt5PrintSupport Qt5Test)
for name in Editor:QTextEdit Tree:QTreeView Table:QTableView Graphics:QGraphicsView Main:QMainWindow Dialog:QDialog; do
    base=${name#*:}
    name=${name%:*}
    cat > "src/$name.h" <<HEADER
#pragma once
#include <$base>
class $name : public $base {
    Q_OBJECT
    Q_PROPERTY(int count READ count NOTIFY changed)
public:
    int count() const { return count_; }
signals:
    void changed();
private:
    int count_ = 0;
};
HEADER
    cat > "src/$name.cpp" <<SOURCE
#include "$name.h"
#include <QtConcurrent>
#include <QtNetwork>
#include <QtSql>
#include <QtXml>
void touch_$name($name *it) { emit it->changed(); }
SOURCE
    "$moc" $includes "src/$name.h" -o "src/moc_$name.cpp"
    for source in "$name" "moc_$name"; do
        g++ -std=c++17 -O2 -fPIC $includes -Isrc -c "src/$source.cpp" -o "src/$source.o"
    done
done
