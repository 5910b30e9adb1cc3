#include "registry.h"

#define KMN_MODULE(id, name) extern const struct kmn_module name##_module;
#include "modules.def"
#undef KMN_MODULE
#define KMN_SERVICE(id, name) extern const struct kmn_part name##_service;
#include "services.def"
#undef KMN_SERVICE

static const struct kmn_module *const modules[] = {
#define KMN_MODULE(id, name) &name##_module,
#include "modules.def"
#undef KMN_MODULE
	NULL
};

static const struct kmn_part *const services[] = {
#define KMN_SERVICE(id, name) &name##_service,
#include "services.def"
#undef KMN_SERVICE
	NULL
};

extern const struct worker_job net_list_job;

static const struct worker_job *const jobs[] = { &net_list_job, NULL };

const struct kmn_roof kmn_roof = { services, modules, jobs };
