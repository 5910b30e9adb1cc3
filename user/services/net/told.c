#include <string.h>
#include "base/clock.h"
#include "base/log.h"
#include "event/event.h"
#include "services/net/denied.h"
#include "services/net/links.h"
#include "services/net/told.h"

int net_told_init(struct net_told *t)
{
	return net_folds_init(&t->folds);
}

void net_told_free(struct net_told *t)
{
	net_folds_free(&t->folds);
}

static uint64_t wall_of(uint64_t boot_ns)
{
	return clock_wall_ns() - clock_boot_ns() + boot_ns;
}

static void emit(struct net_told *t, const struct net_fold_key *key, const struct net_seen *first,
		 uint64_t packets, uint64_t bytes, uint64_t first_ns, uint64_t last_ns)
{
	struct event ev;

	event_init(&ev, (uint8_t)(key->reason >> 8), KMN_EV_DENIED, EVENT_FINDINGS);
	net_denied_fill(&ev, key, first, first ? net_links_name(first->ifindex) : "");
	ev.count = packets;
	ev.boot_ns = last_ns;
	event_u64(&ev, EVENT_F_bytes, bytes);
	if (first_ns)
		event_u64(&ev, EVENT_F_first_ns, wall_of(first_ns));
	if (last_ns)
		event_u64(&ev, EVENT_F_last_ns, wall_of(last_ns));
	event_emit(t->events, &ev);
}

/* Neither rule nor mode is known of these. */
static void emit_lost(struct net_told *t, const struct net_fold_key *key, uint64_t packets)
{
	struct event ev;

	event_init(&ev, (uint8_t)(key->reason >> 8), KMN_EV_DENIED, EVENT_FINDINGS);
	ev.action = EVENT_OBSERVED;
	ev.severity = EVENT_MEDIUM;
	ev.count = packets;
	ev.message =
		text_of("packets denied, or that prevent would deny, by more rules than can be "
			"counted apart");
	event_emit(t->events, &ev);
}

/* The rule's line of many addresses; NULL when there are more rules than lines. */
static struct net_told_rule *rule_of(struct net_told *t, const struct net_fold_key *key)
{
	struct net_fold_key k = *key;

	memset(k.peer_be, 0, sizeof(k.peer_be));
	k.zone = k.pid = 0;
	k.epoch = 0;
	k.many = 1;
	for (uint32_t i = 0; i < t->n_rules; i++)
		if (!memcmp(&t->rule[i].key, &k, sizeof(k)))
			return &t->rule[i];
	if (t->n_rules == NET_TOLD_RULES)
		return NULL;
	t->rule[t->n_rules] = (struct net_told_rule){ .key = k };
	return &t->rule[t->n_rules++];
}

static void merge(struct net_told_rule *r, const struct net_fold *fold, uint64_t packets)
{
	r->packets += packets;
	r->bytes += fold->bytes;
	if (!r->first_ns || fold->first_ns < r->first_ns)
		r->first_ns = fold->first_ns;
	if (fold->last_ns > r->last_ns)
		r->last_ns = fold->last_ns;
}

static void on_fold(void *arg, const struct net_fold_key *key, const struct net_fold *fold,
		    uint64_t packets)
{
	struct net_told *t = arg;
	struct net_told_rule *r = NULL;

	t->packets += packets;
	if (!fold) {
		t->lost_packets += packets;
		emit_lost(t, key, packets);
		return;
	}
	t->keys++;
	if (!packets) /* its record said it all */
		return;
	if (key->many || t->each >= NET_TOLD_EACH)
		r = rule_of(t, key);
	if (r) {
		if (!key->many)
			t->merged += packets;
		merge(r, fold, packets);
		return;
	}
	t->each++;
	emit(t, key, &fold->first, packets, fold->bytes, fold->first_ns, fold->last_ns);
}

void net_told_flush(struct net_told *t)
{
	uint64_t from = clock_boot_ns();

	t->each = t->n_rules = t->keys = 0;
	(void)net_folds_flush(&t->folds, on_fold, t); /* logged; what is left comes next time */
	for (uint32_t i = 0; i < t->n_rules; i++) {
		const struct net_told_rule *r = &t->rule[i];

		emit(t, &r->key, NULL, r->packets, r->bytes, r->first_ns, r->last_ns);
	}
	t->flush_ns = clock_boot_ns() - from;
}
