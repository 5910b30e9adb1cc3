#pragma once
#include <stdlib.h>
#include <string.h>
#include "event/event.h"

/* An event as a firewall would make it, with a chain of three processes in a container. */
static inline void sample_event(struct event *ev)
{
	static const __u32 src[4] = { 0, 0, 0xffff0000, 0x0100000a }, /* 10.0.0.1 */
		dst[4] = { 0xb80d0120, 0, 0, 0x01000000 };	      /* 2001:db8::1 */

	event_init(ev, KMN_MOD_firewall, KMN_EV_DENIED, EVENT_FINDINGS);
	ev->time_ns = 1790000000123456789ULL;
	ev->boot_ns = 5000000000ULL;
	ev->gen = 17;
	ev->count = 3;
	ev->severity = EVENT_HIGH;
	ev->action = EVENT_WOULD_DENY;
	ev->mode = KMN_DETECT;
	ev->via = EVENT_VIA_OWNER;
	ev->rule_id = 7;
	ev->rule = text_of("bad-nets");
	ev->pid = 1234;
	ev->start_ns = 4000000000ULL;
	ev->cgroup_id = 99;
	event_ip(ev, EVENT_F_src_ip, src);
	event_ip(ev, EVENT_F_dst_ip, dst);
	event_u64(ev, EVENT_F_src_port, 40000);
	event_u64(ev, EVENT_F_dst_port, 443);
	event_u64(ev, EVENT_F_bytes, UINT64_MAX);
	event_text(ev, EVENT_F_interface, text_of("eth0"));
	ev->who.n = 3;
	for (uint32_t i = 0; i < 3; i++)
		ev->who.p[i] = (struct process_view){
			.pid = 1234 - i,
			.ppid = 1233 - i,
			.uid = 1000,
			.euid = i,
			.gid = 100,
			.login_uid = i ? 1000 : UINT32_MAX,
			.start_ns = 4000000000ULL - i,
			.flags = i ? 0 : PROCESS_UPPER,
			.source = PROCESS_SEEN,
			.exe_id = { 55 + i, 0x800001, 3 },
			.exe = text_of(i ? "/bin/bash" : "/usr/bin/curl"),
			.args = { "curl\0-s\0http://example.test/a b", 31 },
			.cwd = text_of("/home/me"),
			.user = text_of("me"),
		};
	ev->who.container = (struct container_view){
		.id = text_of("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
		.runtime = text_of("podman"),
		.name = text_of("web"),
		.image = text_of("docker.io/library/nginx:1.25"),
		.cgroup_id = 99,
	};
}

/* Random events: every field, hostile bytes, absent and empty texts. */
static inline struct text sample_text(unsigned *seed, const char *pool, uint32_t max)
{
	uint32_t len = (uint32_t)rand_r(seed) % max;

	if (rand_r(seed) % 4 == 0)
		return (struct text){ NULL, 0 };
	return (struct text){ pool + (uint32_t)rand_r(seed) % 16, len };
}

static inline uint64_t sample_u64(unsigned *seed)
{
	uint64_t v = (uint64_t)rand_r(seed) << 33 ^ (uint64_t)rand_r(seed) << 11 ^
		     (uint64_t)rand_r(seed);

	return v >> rand_r(seed) % 64;
}

/* pool: at least max + 16 bytes that live as long as the event. */
static inline void sample_random(struct event *ev, unsigned *seed, const char *pool, uint32_t max)
{
	event_init(ev, (uint8_t)rand_r(seed), (uint8_t)rand_r(seed),
		   (enum event_stream)(rand_r(seed) % 2));
	ev->time_ns = sample_u64(seed);
	ev->boot_ns = sample_u64(seed);
	ev->gen = sample_u64(seed);
	ev->count = sample_u64(seed);
	ev->severity = (uint8_t)(rand_r(seed) % 7);
	ev->action = (uint8_t)(rand_r(seed) % 6);
	ev->mode = (uint8_t)(rand_r(seed) % 4);
	ev->via = (uint8_t)(rand_r(seed) % 5);
	ev->rule_id = (uint32_t)sample_u64(seed);
	ev->rule = sample_text(seed, pool, max);
	ev->message = sample_text(seed, pool, max);
	ev->pid = (uint32_t)sample_u64(seed);
	ev->start_ns = sample_u64(seed);
	ev->cgroup_id = sample_u64(seed);
	ev->who.n = (uint32_t)rand_r(seed) % (PROCESS_CHAIN + 1);
	for (uint32_t i = 0; i < ev->who.n; i++) {
		struct process_view *p = &ev->who.p[i];

		p->pid = (uint32_t)sample_u64(seed);
		p->uid = (uint32_t)sample_u64(seed);
		p->login_uid = (uint32_t)sample_u64(seed) - 1;
		p->start_ns = sample_u64(seed);
		p->flags = (uint32_t)rand_r(seed) % 64;
		p->source = (uint32_t)rand_r(seed) % 3;
		p->exe_id.ino = sample_u64(seed);
		p->exe_id.gen = (uint32_t)sample_u64(seed);
		p->exe = sample_text(seed, pool, max);
		p->args = sample_text(seed, pool, max);
		p->cwd = sample_text(seed, pool, max);
		p->user = sample_text(seed, pool, max);
	}
	ev->who.container.id = sample_text(seed, pool, max);
	ev->who.container.pod = sample_text(seed, pool, max);
	ev->who.container.namespace_ = sample_text(seed, pool, max);
	for (int i = rand_r(seed) % (EVENT_FIELDS_MAX + 1); i > 0; i--) {
		enum event_field_id id = (enum event_field_id)(1 + rand_r(seed) % 70);
		__u32 ip[4] = { (uint32_t)sample_u64(seed), 0, rand_r(seed) % 2 ? 0xffff0000 : 0,
				(uint32_t)sample_u64(seed) };

		if (rand_r(seed) % 2)
			ip[0] = 0;
		switch (rand_r(seed) % 3) {
		case 0:
			event_u64(ev, id, sample_u64(seed));
			break;
		case 1:
			event_text(ev, id, sample_text(seed, pool, max));
			break;
		default:
			event_ip(ev, id, ip);
		}
	}
}
