#include <getopt.h>
#include <string.h>
#include <unistd.h>
#include "control/cli.h"
#include "core/kernel.h"

/* komainu probe: what this kernel can do, and what each part makes of it. Needs no sensor. */

/* Without these no BPF program of ours runs at all. */
static const enum kernel_feature essential[] = { KERNEL_BPF, KERNEL_BTF, KERNEL_RINGBUF };

static bool has_essential(const struct kernel *k)
{
	for (size_t i = 0; i < sizeof(essential) / sizeof(*essential); i++)
		if (!k->has[essential[i]])
			return false;
	return true;
}

/* Part number i of the roof, services first; NULL: no more. */
static const struct kmn_part *part_at(const struct kmn_roof *roof, unsigned i)
{
	unsigned n = 0;

	while (roof->services[n])
		if (n++ == i)
			return roof->services[n - 1];
	i -= n;
	for (n = 0; roof->modules[n]; n++)
		if (n == i)
			return &roof->modules[n]->part;
	return NULL;
}

static unsigned abilities_of(const struct kmn_part *part, const struct kernel *k,
			     struct kmn_ability out[KMN_ABILITIES_MAX])
{
	memset(out, 0, sizeof(*out) * KMN_ABILITIES_MAX);
	return part->probe ? part->probe(k, out) : 0;
}

static bool all_able(const struct kmn_roof *roof, const struct kernel *k)
{
	struct kmn_ability able[KMN_ABILITIES_MAX];
	const struct kmn_part *part;

	for (unsigned i = 0; (part = part_at(roof, i)); i++)
		for (unsigned n = abilities_of(part, k, able); n > 0; n--)
			if (!able[n - 1].can)
				return false;
	return has_essential(k);
}

static void probe_json(const struct kmn_roof *roof, const struct kernel *k, struct buf *out)
{
	struct kmn_ability able[KMN_ABILITIES_MAX];
	struct json j = json_on(out);
	const struct kmn_part *part;

	json_object(&j, NULL);
	json_bool(&j, "ok", all_able(roof, k));
	json_object(&j, "kernel");
	kernel_json(k, &j);
	json_end(&j);
	json_array(&j, "parts");
	for (unsigned i = 0; (part = part_at(roof, i)); i++) {
		unsigned n = abilities_of(part, k, able);

		json_object(&j, NULL);
		json_str(&j, "name", part->name);
		json_str(&j, "summary", part->summary);
		json_array(&j, "abilities");
		for (unsigned a = 0; a < n; a++) {
			json_object(&j, NULL);
			json_str(&j, "what", able[a].what);
			json_bool(&j, "can", able[a].can);
			json_str(&j, "why", able[a].why);
			json_end(&j);
		}
		json_end(&j);
		json_end(&j);
	}
	json_end(&j);
	json_end(&j);
	buf_puts(out, "\n");
}

static void yes_or_no(struct term_table *t, bool yes)
{
	term_cell(t, yes ? TERM_GREEN : TERM_RED, yes ? "yes" : "no");
}

static void print_kernel(const struct kernel *k, bool colours, struct buf *out)
{
	static const char *const heads[] = { "kernel", "", "what it gives, or why not", NULL };
	struct term_table *t = term_table_new(heads);

	buf_printf(out, "kernel    %s\n", k->release);
	buf_printf(out, "lockdown  %s%s\n", kernel_lockdown_name(k),
		   k->lockdown_known ? "" : " (securityfs is not mounted, so this was tried out)");
	buf_printf(out, "LSMs      %s\n",
		   !k->lsm_list_known ? "not known: securityfs is not mounted"
		   : *k->lsm_list     ? k->lsm_list
				      : "none");
	buf_printf(out, "cgroups   %s; containers are in %s%s%s\n", kernel_cgroups_name(k),
		   *k->cgroup_root ? k->cgroup_root : "no mounted hierarchy",
		   *k->cgroup2_root ? ", programs hang in " : "", k->cgroup2_root);
	buf_printf(out, "bpffs     %s\n\n",
		   k->bpffs ? "mounted" : "not mounted: the sensor mounts it at its start");
	for (int f = 0; f < KERNEL_FEATURES; f++) {
		term_cell(t, TERM_PLAIN, "%s", kernel_feature_names[f]);
		yes_or_no(t, k->has[f]);
		term_cell(t, TERM_PLAIN, "%s", k->has[f] ? kernel_feature_meaning[f] : k->why[f]);
	}
	term_table_add(t, "", colours, out);
	term_table_free(t);
}

static void print_parts(const struct kmn_roof *roof, const struct kernel *k, bool colours,
			struct buf *out)
{
	static const char *const heads[] = { "part", "", "what it can do, or why not", NULL };
	struct term_table *t = term_table_new(heads);
	struct kmn_ability able[KMN_ABILITIES_MAX];
	const struct kmn_part *part;

	for (unsigned i = 0; (part = part_at(roof, i)); i++) {
		unsigned n = abilities_of(part, k, able);

		for (unsigned a = 0; a < n; a++) {
			term_cell(t, TERM_PLAIN, "%s", part->name);
			yes_or_no(t, able[a].can);
			term_cell(t, TERM_PLAIN, able[a].can ? "%s" : "%s: %s", able[a].what,
				  able[a].why);
		}
	}
	buf_puts(out, "\n");
	term_table_add(t, "", colours, out);
	term_table_free(t);
}

static int probe_run(int argc, char **argv)
{
	static const struct option options[] = { { "json", no_argument, NULL, 'j' }, { 0 } };
	const struct kmn_roof *roof = cli_roof();
	struct buf out = { 0 };
	bool json = false;
	struct kernel k;
	int c, r;

	optind = 1;
	opterr = 0;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?')
			return cli_bad_option("probe", argv);
		json = true;
	}
	if (optind < argc)
		return cli_usage("probe", "probe takes no %s", argv[optind]);
	r = kernel_probe(&k);
	if (r < 0)
		return cli_fail(CLI_NO, "probe: %s", strerror(-r));
	if (json) {
		probe_json(roof, &k, &out);
	} else {
		print_kernel(&k, term_colours(stdout), &out);
		print_parts(roof, &k, term_colours(stdout), &out);
		if (!has_essential(&k))
			buf_puts(&out,
				 "\nWithout bpf, btf and ringbuf (Linux 5.10 or newer has them) "
				 "nothing is judged in the\nkernel; what needs no BPF works.\n");
		if (geteuid())
			buf_puts(&out,
				 "\nThis was asked without root: sudo komainu probe tells more.\n");
	}
	r = term_write(&out, stdout);
	buf_free(&out);
	if (r < 0)
		return cli_fail(CLI_NO, "cannot write the answer: %s", strerror(-r));
	return all_able(roof, &k) ? CLI_GOOD : CLI_DEGRADED;
}

const struct kmn_command probe_commands[] = {
	{ .name = "probe",
	  .args = "[--json]",
	  .summary = "Show what this kernel can do, part by part, and why not.",
	  .help = "Options:\n"
		  "  --json    one line of JSON: ok, kernel.features[], parts[].abilities[]\n\n"
		  "Found by trying, never by the version: tiny programs are loaded and attached "
		  "for\n"
		  "an instant and do nothing. Needs no sensor; root sees all, others some.\n\n"
		  "Exit code: 0 everything can be done here, 5 something cannot.\n\n"
		  "Example:\n"
		  "  sudo komainu probe --json | jq -r '.kernel.features[] | select(.has | not)'\n",
	  .run = probe_run },
	{ 0 },
};
