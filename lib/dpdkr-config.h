/* SPDX-License-Identifier: Apache-2.0 */

#ifndef DPDKR_CONFIG_H
#define DPDKR_CONFIG_H 1

/* The options of an Interface of type "dpdkr", as ovs-vswitchd.conf.db(5)
 * describes them. */

#include <stdbool.h>

#include <dpdkr/abi.h>

struct dpdkr_mem_config;
struct smap;

#define DPDKR_MIN_MTU 68
#define DPDKR_MAX_MTU (DPDKR_MAX_SLOT - DPDKR_L2_OVERHEAD)

bool dpdkr_config_parse(const char *name, const struct smap *options, int mtu,
                        struct dpdkr_mem_config *, char **errp);
void dpdkr_config_warn(const char *name, const struct smap *options);

#endif /* dpdkr-config.h */
