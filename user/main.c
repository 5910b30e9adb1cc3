#include "registry.h"

int main(void)
{
	return kmn_modules[0] ? 0 : 1;
}
