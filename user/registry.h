#pragma once
#include "core/module.h"

extern const struct kmn_roof kmn_roof;
