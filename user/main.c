#include "registry.h"

int main(void)
{
	return kmn_roof.modules[0] ? 0 : 1;
}
