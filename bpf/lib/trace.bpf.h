/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* For tracing programs. BPF_PROG() always declares ctx, used or not. */
#pragma once
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#pragma clang diagnostic ignored "-Wunused-parameter"
