#pragma once
#include "core/module.h"

/* All parts, in the order in which they start: services, then modules, then outputs. */
extern const struct kmn_module *const kmn_modules[]; /* NULL-terminated */
extern const struct kmn_part *const kmn_services[];  /* NULL-terminated */
extern const struct worker_job *const kmn_jobs[];    /* what workers can do; NULL-terminated */
