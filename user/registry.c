#include "registry.h"

#define KMN_MODULE(id, name) extern const struct kmn_module name##_module;
#include "modules.def"
#undef KMN_MODULE
#define KMN_SERVICE(id, name) extern const struct kmn_part name##_service;
#include "services.def"
#undef KMN_SERVICE

const struct kmn_module *const kmn_modules[] = {
#define KMN_MODULE(id, name) &name##_module,
#include "modules.def"
#undef KMN_MODULE
	NULL
};

const struct kmn_part *const kmn_services[] = {
#define KMN_SERVICE(id, name) &name##_service,
#include "services.def"
#undef KMN_SERVICE
	NULL
};

extern const struct worker_job net_list_job;

const struct worker_job *const kmn_jobs[] = { &net_list_job, NULL };
