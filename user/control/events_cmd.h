#pragma once
#include "core/module.h"

/* komainu events [verify]: event/reader and event/verify on the command line. */
extern const struct kmn_command events_commands[];
