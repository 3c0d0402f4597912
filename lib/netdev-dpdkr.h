/* SPDX-License-Identifier: Apache-2.0 */

#ifndef NETDEV_DPDKR_H
#define NETDEV_DPDKR_H 1

#include <stdbool.h>

void netdev_dpdkr_exit(bool cleanup);

#endif /* netdev-dpdkr.h */
