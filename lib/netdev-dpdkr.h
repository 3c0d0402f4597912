/* SPDX-License-Identifier: Apache-2.0 */

#ifndef NETDEV_DPDKR_H
#define NETDEV_DPDKR_H 1

#include <stdbool.h>

struct dpdkr_end;
struct netdev;

void netdev_dpdkr_exit(bool cleanup);

/* For dpdkr-link.c. */
struct dpdkr_end *netdev_dpdkr_get_end(const struct netdev *);
void netdev_dpdkr_run_soon(void);

#endif /* netdev-dpdkr.h */
