#include <stdio.h>

int main(void) {
    puts("the test says why");
    return 7;
}
