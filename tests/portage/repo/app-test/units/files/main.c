#include "unit.h"
#include <stdio.h>

#define ADD(name) x = unit_##name(x);

int main(void)
{
	int x = 0;
	UNITS(ADD)
	printf("%d\n", x);
	return 0;
}
