/* SPDX-License-Identifier: Apache-2.0 */

#include <config.h>

#include "netdev-dpdkr.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compiler.h"
#include "dp-packet.h"
#include "dpdkr-config.h"
#include "dpdkr-limits.h"
#include "dpdkr-link.h"
#include "dpdkr-mem.h"
#include "dpdkr-packet.h"
#include "dpdkr-port.h"
#include "dpdkr-report.h"
#include "dpdkr-watch.h"
#include "hash.h"
#include "netdev-provider.h"
#include "openvswitch/list.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/vlog.h"
#include "ovs-rcu.h"
#include "smap.h"
#include "sset.h"
#include "timeval.h"
#include "unixctl.h"
#include "userspace-tso.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(netdev_dpdkr);

/* "dpdkr" ports
 * =============
 *
 * A poll-mode port over shared memory.  The files of this room:
 *
 *   - netdev-dpdkr.c: life cycle and configuration, and what else the netdev
 *     layer wants.
 *   - dpdkr-config.c: the options of the Interface.
 *   - dpdkr-mem.c: the file behind the memory; dpdkr-guard.c keeps a truncated
 *     one from killing the process.
 *   - dpdkr-port.c: the rings and the peer.
 *   - dpdkr-link.c and its rooms: direct links; dpdkr-gate.c: what they mean
 *     for the rings of a port.
 *   - dpdkr-watch.c: when a change is announced and a lost file made anew.
 *   - dpdkr-report.c: status and statistics.
 *   - dpdkr-limits.c: policing and QoS, with the policers of dpdkr-police.c.
 *   - dpdkr-packet.c, dpdkr-offload.c: what a packet needs on its way.
 *
 * All configuration happens in the main thread.  set_config() and set_mtu()
 * make the memory that the configuration asks for right away, so that an error
 * reaches the user; reconfigure(), with the datapath's threads kept out, puts
 * it in place of the one in use. */

/* How often run() looks at the peers, in ms. */
#define PEER_INTERVAL 50

/* How often at most the state of direct links goes to the database, in ms. */
#define LINK_CHANGE_INTERVAL 500

struct netdev_dpdkr {
    struct netdev up;
    struct ovs_list node;       /* In 'all_dpdkr'. */

    struct ovs_mutex mutex;     /* Protects everything below but 'port' and
                                 * 'limits'. */

    /* Used without 'mutex' by the datapath's threads, replaced while they are
     * kept out. */
    struct dpdkr_port *port;
    struct dpdkr_limits limits;
    struct dpdkr_end *end;      /* Of direct links.  Constant. */

    /* Configuration. */
    struct smap options;        /* As given. */
    struct dpdkr_mem_config conf; /* As parsed and completed. */
    struct dpdkr_mem *next;     /* For the next reconfigure(), or NULL. */
    int requested_n_txq;
    int mtu;
    enum netdev_flags flags;
    struct eth_addr hwaddr;

    /* State. */
    struct dpdkr_watch watch;
    long long int next_link_change; /* When a change of direct links may be
                                     * announced, in ms. */
    struct dpdkr_totals old;    /* What was counted on earlier memories. */
};

static struct ovs_mutex dpdkr_list_mutex = OVS_MUTEX_INITIALIZER;
static struct ovs_list all_dpdkr OVS_GUARDED_BY(dpdkr_list_mutex)
    = OVS_LIST_INITIALIZER(&all_dpdkr);
static long long int next_run = LLONG_MIN;
static long long int next_link_run = LLONG_MIN;

/* Set when the process is about to exit and its ports are to be found again by
 * the next one. */
static bool leave_memory = false;

static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(5, 20);

static int open_memory(struct netdev_dpdkr *, char **errp);
static void netdev_dpdkr_run__(struct netdev_dpdkr *, long long int now);

static struct netdev_dpdkr *
netdev_dpdkr_cast(const struct netdev *netdev)
{
    return CONTAINER_OF(netdev, struct netdev_dpdkr, up);
}

/* ## ---------- ## */
/* ## Life cycle ## */
/* ## ---------- ## */

static struct netdev *
netdev_dpdkr_alloc(void)
{
    struct netdev_dpdkr *dev = xzalloc(sizeof *dev);

    return &dev->up;
}

static int
netdev_dpdkr_construct(struct netdev *netdev)
{
    struct netdev_dpdkr *dev = netdev_dpdkr_cast(netdev);

    ovs_mutex_init(&dev->mutex);
    dpdkr_limits_init(&dev->limits);
    smap_init(&dev->options);
    dev->requested_n_txq = 1;
    dev->mtu = ETH_PAYLOAD_MAX;
    dpdkr_watch_init(&dev->watch);
    dev->next_link_change = LLONG_MIN;
    dev->flags = NETDEV_UP | NETDEV_PROMISC;
    eth_addr_random(&dev->hwaddr);
    dev->end = dpdkr_end_create(netdev_get_name(netdev));

    netdev->n_rxq = 1;
    netdev->n_txq = 1;
    if (userspace_tso_enabled()) {
        /* Done in software, see dpdkr-offload.h. */
        netdev->ol_flags = (NETDEV_TX_OFFLOAD_TCP_TSO
                            | NETDEV_TX_OFFLOAD_TCP_CKSUM
                            | NETDEV_TX_OFFLOAD_UDP_CKSUM
                            | NETDEV_TX_OFFLOAD_SCTP_CKSUM
                            | NETDEV_TX_OFFLOAD_IPV4_CKSUM);
    }

    ovs_mutex_lock(&dpdkr_list_mutex);
    ovs_list_push_back(&all_dpdkr, &dev->node);
    ovs_mutex_unlock(&dpdkr_list_mutex);
    return 0;
}

static void
netdev_dpdkr_destruct(struct netdev *netdev)
{
    struct netdev_dpdkr *dev = netdev_dpdkr_cast(netdev);

    ovs_mutex_lock(&dpdkr_list_mutex);
    ovs_list_remove(&dev->node);
    ovs_mutex_unlock(&dpdkr_list_mutex);

    dpdkr_end_set_port(dev->end, NULL);
    dpdkr_end_destroy(dev->end);
    dpdkr_port_destroy(dev->port, !leave_memory);
    dpdkr_mem_close(dev->next, !leave_memory);
    dpdkr_limits_destroy(&dev->limits);
    smap_destroy(&dev->options);
    free(dev->conf.path);
    ovs_mutex_destroy(&dev->mutex);
}

static void
netdev_dpdkr_dealloc(struct netdev *netdev)
{
    free(netdev_dpdkr_cast(netdev));
}

/* ## ------------- ## */
/* ## Configuration ## */
/* ## ------------- ## */

/* Makes sure that the memory in use, or the one that will be from the next
 * reconfigure() on, is what 'dev->conf' asks for. */
static int
open_memory(struct netdev_dpdkr *dev, char **errp)
    OVS_REQUIRES(dev->mutex)
{
    const struct dpdkr_mem *current = dev->port ? dev->port->mem : NULL;
    bool usable = current && dev->watch.file_status != DPDKR_MEM_TRUNCATED;
    struct dpdkr_mem *next;
    int error;

    if (dev->next && dpdkr_mem_fits(dev->next, &dev->conf)) {
        return dpdkr_mem_set_access(dev->next, &dev->conf, errp);
    }
    if (!dev->next && usable && dpdkr_mem_fits(current, &dev->conf)) {
        return dpdkr_mem_set_access(current, &dev->conf, errp);
    }

    error = dpdkr_mem_open(&dev->conf, netdev_get_name(&dev->up),
                           dev->next ? dev->next : current, &next, errp);
    if (!error) {
        dpdkr_mem_close(dev->next, true);
        dev->next = next;
        netdev_request_reconfigure(&dev->up);
    }
    return error;
}

static int
netdev_dpdkr_set_config(struct netdev *netdev, const struct smap *args,
                        char **errp)
{
    struct netdev_dpdkr *dev = netdev_dpdkr_cast(netdev);
    const char *name = netdev_get_name(netdev);
    struct dpdkr_mem_config conf;
    char *why = NULL;
    int error;

    ovs_mutex_lock(&dev->mutex);
    if ((dev->port || dev->next) && smap_equal(args, &dev->options)) {
        ovs_mutex_unlock(&dev->mutex);
        return 0;
    }

    if (!dpdkr_config_parse(name, args, dev->mtu, &conf, &why)) {
        error = EINVAL;
    } else {
        struct dpdkr_mem_config old = dev->conf;

        dev->conf = conf;
        error = open_memory(dev, &why);
        if (error) {
            free(conf.path);
            dev->conf = old;
        } else {
            free(old.path);
            smap_destroy(&dev->options);
            smap_clone(&dev->options, args);
            dpdkr_config_warn(name, args);
        }
    }
    ovs_mutex_unlock(&dev->mutex);

    if (error) {
        if (errp) {
            *errp = xasprintf("%s: %s", name, why);
        }
        VLOG_WARN("%s: could not configure dpdkr port (%s)", name, why);
        free(why);
    }
    return error;
}

static int
netdev_dpdkr_get_config(const struct netdev *netdev, struct smap *args)
{
    struct netdev_dpdkr *dev = netdev_dpdkr_cast(netdev);

    ovs_mutex_lock(&dev->mutex);
    if (dev->conf.path) {
        const struct dpdkr_mem *mem = dev->port ? dev->port->mem : dev->next;
        const char *owner = smap_get(&dev->options, "owner");

        smap_add(args, "path", dev->conf.path);
        smap_add_format(args, "n_rxq", "%"PRIu32, dev->conf.n_queues);
        smap_add_format(args, "ring_size", "%"PRIu32, dev->conf.ring_size);
        smap_add_format(args, "slot_size", "%"PRIu32,
                        mem ? mem->g.slot_size : dev->conf.slot_size);
        smap_add_format(args, "mode", "%04o", (unsigned int) dev->conf.mode);
        smap_add(args, "hugepages", dev->conf.hugepages ? "true" : "false");
        if (owner) {
            smap_add(args, "owner", owner);
        }
    }
    ovs_mutex_unlock(&dev->mutex);
    return 0;
}

static int
netdev_dpdkr_get_numa_id(const struct netdev *netdev)
{
    struct netdev_dpdkr *dev = netdev_dpdkr_cast(netdev);

    ovs_mutex_lock(&dev->mutex);
    const struct dpdkr_mem *mem = (dev->next ? dev->next
                                   : dev->port ? dev->port->mem : NULL);
    int numa_id = mem ? mem->numa_id : 0;
    ovs_mutex_unlock(&dev->mutex);

    return numa_id;
}

static int
netdev_dpdkr_set_tx_multiq(struct netdev *netdev, unsigned int n_txq)
{
    struct netdev_dpdkr *dev = netdev_dpdkr_cast(netdev);

    ovs_mutex_lock(&dev->mutex);
    if (dev->requested_n_txq != n_txq) {
        dev->requested_n_txq = n_txq;
        netdev_request_reconfigure(netdev);
    }
    ovs_mutex_unlock(&dev->mutex);
    return 0;
}

static int
netdev_dpdkr_get_mtu(const struct netdev *netdev, int *mtup)
{
    struct netdev_dpdkr *dev = netdev_dpdkr_cast(netdev);

    ovs_mutex_lock(&dev->mutex);
    *mtup = dev->mtu;
    ovs_mutex_unlock(&dev->mutex);
    return 0;
}

static int
netdev_dpdkr_set_mtu(struct netdev *netdev, int mtu)
{
    struct netdev_dpdkr *dev = netdev_dpdkr_cast(netdev);
    const char *name = netdev_get_name(netdev);
    struct dpdkr_mem_config conf;
    char *why = NULL;
    int error = 0;

    ovs_mutex_lock(&dev->mutex);
    if (mtu == dev->mtu) {
        goto exit;
    }
    if (mtu < DPDKR_MIN_MTU || mtu > DPDKR_MAX_MTU) {
        VLOG_WARN_RL(&rl, "%s: unsupported MTU %d, must be %d to %d",
                     name, mtu, DPDKR_MIN_MTU, DPDKR_MAX_MTU);
        error = EINVAL;
        goto exit;
    }
    if (!dpdkr_config_parse(name, &dev->options, mtu, &conf, &why)) {
        VLOG_WARN_RL(&rl, "%s: unsupported MTU %d (%s)", name, mtu, why);
        error = EINVAL;
        goto exit;
    }
    if (dev->conf.path) {
        struct dpdkr_mem_config old = dev->conf;

        dev->conf = conf;
        error = open_memory(dev, &why);
        if (error) {
            VLOG_WARN_RL(&rl, "%s: could not change MTU to %d (%s)",
                         name, mtu, why);
            dev->conf = old;
            free(conf.path);
            goto exit;
        }
        free(old.path);
    } else {
        free(conf.path);
    }
    dev->mtu = mtu;
    if (dev->port && !dev->next) {
        dpdkr_port_set_mtu(dev->port, mtu);
    }
    netdev_change_seq_changed(netdev);

exit:
    free(why);
    ovs_mutex_unlock(&dev->mutex);
    return error;
}

/* The addresses of both ends of the port follow from what is kept of the
 * memory's random id, so that they stay when the switch restarts and when the
 * memory is made anew. */
static struct eth_addr
address_from_id(const struct dpdkr_mem *mem, int side)
{
    struct eth_addr ea;

    BUILD_ASSERT_DECL(sizeof ea <= DPDKR_MEM_KEPT_ID);
    memcpy(&ea, mem->constant.id, sizeof ea);
    ea.ea[0] = (ea.ea[0] & ~1) | 2;
    ea.ea[5] = (ea.ea[5] & ~1) | side;
    return ea;
}

static int
netdev_dpdkr_reconfigure(struct netdev *netdev)
{
    struct netdev_dpdkr *dev = netdev_dpdkr_cast(netdev);
    int error = 0;

    ovs_mutex_lock(&dev->mutex);
    if (!dev->port && !dev->next) {
        char *why = NULL;

        if (!dev->conf.path
            && !dpdkr_config_parse(netdev_get_name(netdev), &dev->options,
                                   dev->mtu, &dev->conf, &why)) {
            error = EINVAL;
        } else {
            error = open_memory(dev, &why);
        }
        if (error) {
            VLOG_WARN("%s: could not configure dpdkr port (%s)",
                      netdev_get_name(netdev), why);
            free(why);
            goto exit;
        }
    }
    if (dev->next) {
        dpdkr_report_add_port(&dev->old, dev->port);
        dpdkr_end_set_port(dev->end, NULL);
        dpdkr_port_destroy(dev->port, true);
        dev->hwaddr = address_from_id(dev->next, DPDKR_SIDE_A);
        dev->port = dpdkr_port_create(dev->next, netdev_get_name(netdev),
                                      address_from_id(dev->next, DPDKR_SIDE_B),
                                      dev->mtu, dev->flags & NETDEV_UP);
        dev->next = NULL;
        dpdkr_end_set_port(dev->end, dev->port);
        dpdkr_watch_renew(&dev->watch);
        netdev_dpdkr_run__(dev, time_msec());
        netdev_change_seq_changed(netdev);
    }
    dpdkr_port_set_mtu(dev->port, dev->mtu);
    netdev->n_rxq = dev->port->n_queues;
    netdev->n_txq = dev->requested_n_txq;

exit:
    ovs_mutex_unlock(&dev->mutex);
    return error;
}

/* ## ----- ## */
/* ## State ## */
/* ## ----- ## */

/* Makes the memory for the next reconfigure(), in place of the one in use,
 * whose file is lost. */
static void
remake_memory(struct netdev_dpdkr *dev, long long int now)
    OVS_REQUIRES(dev->mutex)
{
    const char *name = netdev_get_name(&dev->up);
    char *why = NULL;
    int error;

    error = dpdkr_mem_open(&dev->conf, name, dev->port->mem, &dev->next, &why);
    if (error) {
        VLOG_WARN_RL(&rl, "%s: could not make memory anew, trying again in %d "
                     "seconds (%s)", name, DPDKR_WATCH_RETRY / 1000, why);
        free(why);
    } else {
        netdev_request_reconfigure(&dev->up);
    }
    dpdkr_watch_remade(&dev->watch, !error, now);
}

static void
netdev_dpdkr_run__(struct netdev_dpdkr *dev, long long int now)
    OVS_REQUIRES(dev->mutex)
{
    unsigned int todo;

    if (!dev->port) {
        return;
    }
    todo = dpdkr_watch_run(&dev->watch, dev->port, now);
    if (todo & DPDKR_WATCH_REMAKE && !dev->next) {
        remake_memory(dev, now);
    }
    if (now >= dev->next_link_change && dpdkr_end_changed(dev->end)) {
        todo |= DPDKR_WATCH_ANNOUNCE;
        dev->next_link_change = now + LINK_CHANGE_INTERVAL;
    }
    if (todo & DPDKR_WATCH_ANNOUNCE) {
        netdev_change_seq_changed(&dev->up);
    }
}

static void
netdev_dpdkr_run(const struct netdev_class *class OVS_UNUSED)
{
    long long int now = time_msec();
    struct netdev_dpdkr *dev;

    if (now >= next_run) {
        next_run = now + PEER_INTERVAL;

        ovs_mutex_lock(&dpdkr_list_mutex);
        LIST_FOR_EACH (dev, node, &all_dpdkr) {
            ovs_mutex_lock(&dev->mutex);
            netdev_dpdkr_run__(dev, now);
            ovs_mutex_unlock(&dev->mutex);
        }
        ovs_mutex_unlock(&dpdkr_list_mutex);
        next_link_run = LLONG_MIN;
    }
    if (now >= next_link_run) {
        next_link_run = dpdkr_link_run(now);
    }
}

/* Has direct links looked after in the next run. */
void
netdev_dpdkr_run_soon(void)
{
    next_link_run = LLONG_MIN;
}

static void
netdev_dpdkr_wait(const struct netdev_class *class OVS_UNUSED)
{
    ovs_mutex_lock(&dpdkr_list_mutex);
    if (!ovs_list_is_empty(&all_dpdkr)) {
        poll_timer_wait_until(MIN(next_run, next_link_run));
    }
    ovs_mutex_unlock(&dpdkr_list_mutex);
}

static int
netdev_dpdkr_set_etheraddr(struct netdev *netdev, const struct eth_addr mac)
{
    struct netdev_dpdkr *dev = netdev_dpdkr_cast(netdev);

    ovs_mutex_lock(&dev->mutex);
    bool changed = !eth_addr_equals(dev->hwaddr, mac);
    dev->hwaddr = mac;
    ovs_mutex_unlock(&dev->mutex);

    if (changed) {
        netdev_change_seq_changed(netdev);
    }
    return 0;
}

static int
netdev_dpdkr_get_etheraddr(const struct netdev *netdev, struct eth_addr *mac)
{
    struct netdev_dpdkr *dev = netdev_dpdkr_cast(netdev);

    ovs_mutex_lock(&dev->mutex);
    *mac = dev->hwaddr;
    ovs_mutex_unlock(&dev->mutex);
    return 0;
}

static int
netdev_dpdkr_get_ifindex(const struct netdev *netdev)
{
    /* No kernel interface: a number that sFlow collectors can tell ports
     * apart by, the same after a restart.  Zero stands for no interface, and
     * sFlow has 24 bits for it. */
    return 1 + hash_string(netdev_get_name(netdev), 0) % 0xffffff;
}

static int
netdev_dpdkr_get_carrier(const struct netdev *netdev, bool *carrier)
{
    struct netdev_dpdkr *dev = netdev_dpdkr_cast(netdev);

    ovs_mutex_lock(&dev->mutex);
    *carrier = dev->watch.linked;
    ovs_mutex_unlock(&dev->mutex);
    return 0;
}

static long long int
netdev_dpdkr_get_carrier_resets(const struct netdev *netdev)
{
    struct netdev_dpdkr *dev = netdev_dpdkr_cast(netdev);

    ovs_mutex_lock(&dev->mutex);
    long long int n = dev->watch.carrier_resets;
    ovs_mutex_unlock(&dev->mutex);

    return n;
}

static int
netdev_dpdkr_update_flags(struct netdev *netdev, enum netdev_flags off,
                          enum netdev_flags on, enum netdev_flags *old_flags)
{
    struct netdev_dpdkr *dev = netdev_dpdkr_cast(netdev);

    if ((off | on) & ~(NETDEV_UP | NETDEV_PROMISC)) {
        return EINVAL;
    }

    ovs_mutex_lock(&dev->mutex);
    *old_flags = dev->flags;
    dev->flags = (dev->flags | on) & ~off;
    if (dev->flags != *old_flags) {
        if (dev->port && (dev->flags ^ *old_flags) & NETDEV_UP) {
            dpdkr_port_set_admin(dev->port, dev->flags & NETDEV_UP);
            dpdkr_watch_expedite(&dev->watch);
            netdev_dpdkr_run__(dev, time_msec());
        }
        netdev_change_seq_changed(netdev);
    }
    ovs_mutex_unlock(&dev->mutex);
    return 0;
}

static int
netdev_dpdkr_get_status(const struct netdev *netdev, struct smap *args)
{
    struct netdev_dpdkr *dev = netdev_dpdkr_cast(netdev);

    ovs_mutex_lock(&dev->mutex);
    if (dev->port) {
        dpdkr_report_status(dev->port, args);
        dpdkr_report_link_status(dev->end, args);
    }
    ovs_mutex_unlock(&dev->mutex);
    return 0;
}

static void
get_totals(struct netdev_dpdkr *dev, struct dpdkr_totals *totals)
{
    ovs_mutex_lock(&dev->mutex);
    *totals = dev->old;
    /* In this order: packets are received before they are policed, and those
     * that pass are the difference. */
    dpdkr_report_add_limits(totals, &dev->limits);
    dpdkr_report_add_port(totals, dev->port);
    dpdkr_end_get_stats(dev->end, &totals->links);
    totals->memory_lost = dev->watch.n_memory_lost;
    ovs_mutex_unlock(&dev->mutex);
}

static int
netdev_dpdkr_get_stats(const struct netdev *netdev, struct netdev_stats *stats)
{
    struct dpdkr_totals totals;

    get_totals(netdev_dpdkr_cast(netdev), &totals);
    dpdkr_report_stats(&totals, stats);
    return 0;
}

static int
netdev_dpdkr_get_custom_stats(const struct netdev *netdev,
                              struct netdev_custom_stats *custom)
{
    struct dpdkr_totals totals;

    get_totals(netdev_dpdkr_cast(netdev), &totals);
    dpdkr_report_custom_stats(&totals, custom);
    return 0;
}

/* ## ---------------- ## */
/* ## Policing and QoS ## */
/* ## ---------------- ## */

static int
netdev_dpdkr_set_policing(struct netdev *netdev, uint32_t kbits,
                          uint32_t kbits_burst, uint32_t kpkts,
                          uint32_t kpkts_burst)
{
    struct netdev_dpdkr *dev = netdev_dpdkr_cast(netdev);

    ovs_mutex_lock(&dev->mutex);
    dpdkr_limits_set_policing(&dev->limits, kbits, kbits_burst,
                              kpkts, kpkts_burst);
    ovs_mutex_unlock(&dev->mutex);
    return 0;
}

static int
netdev_dpdkr_get_qos_types(const struct netdev *netdev OVS_UNUSED,
                           struct sset *types)
{
    sset_add(types, DPDKR_EGRESS_POLICER);
    return 0;
}

static int
netdev_dpdkr_get_qos_capabilities(const struct netdev *netdev OVS_UNUSED,
                                  const char *type,
                                  struct netdev_qos_capabilities *caps)
{
    if (*type && strcmp(type, DPDKR_EGRESS_POLICER)) {
        return EOPNOTSUPP;
    }
    caps->n_queues = 0;
    return 0;
}

static int
netdev_dpdkr_get_qos(const struct netdev *netdev, const char **typep,
                     struct smap *details)
{
    struct netdev_dpdkr *dev = netdev_dpdkr_cast(netdev);
    const struct smap_node *node;

    ovs_mutex_lock(&dev->mutex);
    *typep = smap_is_empty(&dev->limits.qos) ? "" : DPDKR_EGRESS_POLICER;
    SMAP_FOR_EACH (node, &dev->limits.qos) {
        smap_add(details, node->key, node->value);
    }
    ovs_mutex_unlock(&dev->mutex);
    return 0;
}

static int
netdev_dpdkr_set_qos(struct netdev *netdev, const char *type,
                     const struct smap *details)
{
    struct netdev_dpdkr *dev = netdev_dpdkr_cast(netdev);

    ovs_mutex_lock(&dev->mutex);
    int error = dpdkr_limits_set_qos(&dev->limits, netdev_get_name(netdev),
                                     type, details);
    ovs_mutex_unlock(&dev->mutex);
    return error;
}

/* ## ------- ## */
/* ## Packets ## */
/* ## ------- ## */

static struct netdev_rxq *
netdev_dpdkr_rxq_alloc(void)
{
    return xzalloc(sizeof(struct netdev_rxq));
}

static int
netdev_dpdkr_rxq_construct(struct netdev_rxq *rxq)
{
    struct netdev_dpdkr *dev = netdev_dpdkr_cast(rxq->netdev);

    return dev->port ? 0 : EAGAIN;
}

static void
netdev_dpdkr_rxq_destruct(struct netdev_rxq *rxq OVS_UNUSED)
{
}

static void
netdev_dpdkr_rxq_dealloc(struct netdev_rxq *rxq)
{
    free(rxq);
}

/* A queue that the peer said not to fill need not be polled. */
static bool
netdev_dpdkr_rxq_enabled(struct netdev_rxq *rxq)
{
    struct netdev_dpdkr *dev = netdev_dpdkr_cast(rxq->netdev);
    uint32_t n;

    atomic_read_relaxed(&dev->port->peer_n_txq, &n);
    return rxq->queue_id < n;
}

static int
netdev_dpdkr_rxq_recv(struct netdev_rxq *rxq, struct dp_packet_batch *batch,
                      int *qfill)
{
    struct netdev_dpdkr *dev = netdev_dpdkr_cast(rxq->netdev);
    int error;

    if (OVS_UNLIKELY(!dpdkr_port_is_up(dev->port))) {
        return EAGAIN;
    }
    dp_packet_batch_init(batch);
    error = dpdkr_port_rx(dev->port, rxq->queue_id, batch, qfill);
    if (error) {
        return error;
    }

    dpdkr_limits_ingress(&dev->limits, batch);
    return dp_packet_batch_is_empty(batch) ? EAGAIN : 0;
}

static int
netdev_dpdkr_rxq_drain(struct netdev_rxq *rxq)
{
    struct netdev_dpdkr *dev = netdev_dpdkr_cast(rxq->netdev);
    struct dp_packet_batch batch;
    uint32_t left = dev->port->mem->g.ring_size;

    /* At most one ring's worth, as the peer may go on filling it. */
    dp_packet_batch_init(&batch);
    while (left && !dpdkr_port_rx(dev->port, rxq->queue_id, &batch, NULL)) {
        left -= MIN(left, dp_packet_batch_size(&batch));
        dpdkr_packet_delete_batch(&batch);
    }
    return 0;
}

static int
netdev_dpdkr_send(struct netdev *netdev, int qid,
                  struct dp_packet_batch *batch, bool concurrent OVS_UNUSED)
{
    struct netdev_dpdkr *dev = netdev_dpdkr_cast(netdev);

    if (OVS_UNLIKELY(!dev->port)) {
        dpdkr_packet_delete_batch(batch);
        return EAGAIN;
    }
    dpdkr_limits_egress(&dev->limits, batch);
    if (OVS_LIKELY(!dp_packet_batch_is_empty(batch))) {
        dpdkr_port_tx(dev->port, qid, batch);
    }
    return 0;
}

static const struct netdev_class netdev_dpdkr_class = {
    .type = "dpdkr",
    .is_pmd = true,
    .run = netdev_dpdkr_run,
    .wait = netdev_dpdkr_wait,
    .alloc = netdev_dpdkr_alloc,
    .construct = netdev_dpdkr_construct,
    .destruct = netdev_dpdkr_destruct,
    .dealloc = netdev_dpdkr_dealloc,
    .get_config = netdev_dpdkr_get_config,
    .set_config = netdev_dpdkr_set_config,
    .get_numa_id = netdev_dpdkr_get_numa_id,
    .set_tx_multiq = netdev_dpdkr_set_tx_multiq,
    .send = netdev_dpdkr_send,
    .set_etheraddr = netdev_dpdkr_set_etheraddr,
    .get_etheraddr = netdev_dpdkr_get_etheraddr,
    .get_mtu = netdev_dpdkr_get_mtu,
    .set_mtu = netdev_dpdkr_set_mtu,
    .get_ifindex = netdev_dpdkr_get_ifindex,
    .get_carrier = netdev_dpdkr_get_carrier,
    .get_carrier_resets = netdev_dpdkr_get_carrier_resets,
    .get_stats = netdev_dpdkr_get_stats,
    .get_custom_stats = netdev_dpdkr_get_custom_stats,
    .set_policing = netdev_dpdkr_set_policing,
    .get_qos_types = netdev_dpdkr_get_qos_types,
    .get_qos_capabilities = netdev_dpdkr_get_qos_capabilities,
    .get_qos = netdev_dpdkr_get_qos,
    .set_qos = netdev_dpdkr_set_qos,
    .get_status = netdev_dpdkr_get_status,
    .update_flags = netdev_dpdkr_update_flags,
    .reconfigure = netdev_dpdkr_reconfigure,
    .rxq_alloc = netdev_dpdkr_rxq_alloc,
    .rxq_construct = netdev_dpdkr_rxq_construct,
    .rxq_destruct = netdev_dpdkr_rxq_destruct,
    .rxq_dealloc = netdev_dpdkr_rxq_dealloc,
    .rxq_enabled = netdev_dpdkr_rxq_enabled,
    .rxq_recv = netdev_dpdkr_rxq_recv,
    .rxq_drain = netdev_dpdkr_rxq_drain,
};

/* Returns the end of direct links of 'netdev', which must be a dpdkr port. */
struct dpdkr_end *
netdev_dpdkr_get_end(const struct netdev *netdev)
{
    return netdev_dpdkr_cast(netdev)->end;
}

/* To be called when the switch is about to exit, before it destroys its ports.
 * Unless 'cleanup' is true, their memory stays, with what is in it, for the
 * switch that is started next. */
void
netdev_dpdkr_exit(bool cleanup)
{
    leave_memory = !cleanup;
    dpdkr_link_leave(leave_memory);
}

/* Registers the class without any line in the base: this object is on the link
 * line of ovs-vswitchd. */
OVS_CONSTRUCTOR(register_netdev_dpdkr)
{
    netdev_register_provider(&netdev_dpdkr_class);
}
