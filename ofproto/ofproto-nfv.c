/* SPDX-License-Identifier: Apache-2.0 */

#include <config.h>

#include "compiler.h"
#include "dpdkr-gate.h"
#include "ofproto-dpif-upcall.h"
#include "ofproto-dpif.h"
#include "ofproto-provider.h"
#include "ovs-thread.h"
#include "p2p.h"
#include "seq.h"
#include "smap.h"
#include "util.h"

/* Our ofproto class
 * =================
 *
 * It is the base's, ofproto_dpif_class, with some members replaced by
 * functions that call the base's and tell the p-2-p link detector (p2p.h).
 * It is registered before the base's, for the same types of datapaths, and so
 * all bridges are of this class.
 *
 * A bridge that the detector does not know, as it is while the base makes or
 * destroys it, is no concern of the detector's. */

static struct ofproto_class class;
static const struct ofproto_class *const base = &ofproto_dpif_class;

/* Id of the main thread, which initializes us. */
static unsigned int main_thread;

static void
nfv_init(const struct shash *iface_hints OVS_UNUSED)
{
    /* The base's class is registered as well, and initialized as such. */
    main_thread = ovsthread_id_self();
    p2p_init();
}

/* ## --------- ## */
/* ## Main loop ## */
/* ## --------- ## */

static int
nfv_type_run(const char *type)
{
    int error = base->type_run(type);

    p2p_type_run(type);
    return error;
}

static void
nfv_type_wait(const char *type)
{
    base->type_wait(type);
    p2p_type_wait(type);
}

/* A note must not overtake packets that wait in output batches, so the gates
 * of dpdkr ports have to know how long that can be. */
static void
nfv_type_set_config(const char *type, const struct smap *other_config)
{
    int us = smap_get_int(other_config, "tx-flush-interval", 0);

    /* As vswitchd.xml says. */
    dpdkr_gate_set_flush_interval(MAX(0, MIN(us, 1000000)));
    base->type_set_config(type, other_config);
}

static int
nfv_run(struct ofproto *ofproto_)
{
    struct ofproto_dpif *ofproto = CONTAINER_OF(ofproto_, struct ofproto_dpif,
                                                up);
    struct seq *dump_seq = udpif_dump_seq(ofproto->backer->udpif);

    /* The base looks for rules that have been idle for too long each time that
     * it has fresh statistics. */
    if (ofproto->dump_seq != seq_read(dump_seq)) {
        p2p_count_all(ofproto_);
    }
    return base->run(ofproto_);
}

/* ## ------- ## */
/* ## Bridges ## */
/* ## ------- ## */

static int
nfv_construct(struct ofproto *ofproto)
{
    int error = base->construct(ofproto);

    if (!error) {
        p2p_bridge_add(ofproto);
    }
    return error;
}

static void
nfv_destruct(struct ofproto *ofproto, bool del)
{
    p2p_bridge_remove(ofproto);
    base->destruct(ofproto, del);
}

static void
nfv_query_tables(struct ofproto *ofproto,
                 struct ofputil_table_features *features,
                 struct ofputil_table_stats *stats)
{
    if (stats) {
        p2p_count_all(ofproto);
    }
    base->query_tables(ofproto, features, stats);
}

/* ## ----- ## */
/* ## Ports ## */
/* ## ----- ## */

static int
nfv_port_construct(struct ofport *ofport)
{
    int error = base->port_construct(ofport);

    if (!error) {
        p2p_port_add(ofport);
    }
    return error;
}

static void
nfv_port_destruct(struct ofport *ofport, bool del)
{
    p2p_port_remove(ofport);
    base->port_destruct(ofport, del);
}

static void
nfv_port_modified(struct ofport *ofport)
{
    base->port_modified(ofport);
    p2p_port_changed(ofport);
}

static void
nfv_port_reconfigured(struct ofport *ofport, enum ofputil_port_config old)
{
    base->port_reconfigured(ofport, old);
    p2p_port_changed(ofport);
}

static int
nfv_set_cfm(struct ofport *ofport, const struct cfm_settings *settings)
{
    int error = base->set_cfm(ofport, settings);

    p2p_port_changed(ofport);
    return error;
}

static int
nfv_set_bfd(struct ofport *ofport, const struct smap *settings)
{
    int error = base->set_bfd(ofport, settings);

    p2p_port_changed(ofport);
    return error;
}

static int
nfv_set_lldp(struct ofport *ofport, const struct smap *settings)
{
    int error = base->set_lldp(ofport, settings);

    p2p_port_changed(ofport);
    return error;
}

static int
nfv_set_queues(struct ofport *ofport, const struct ofproto_port_queue *queues,
               size_t n_queues)
{
    p2p_port_set_queues(ofport, n_queues > 0);
    return base->set_queues(ofport, queues, n_queues);
}

static int
nfv_bundle_set(struct ofproto *ofproto, void *aux,
               const struct ofproto_bundle_settings *settings)
{
    int error = base->bundle_set(ofproto, aux, settings);

    if (settings) {
        p2p_bundle_set(ofproto, aux, settings);
    }
    return error;
}

static int
nfv_mirror_set(struct ofproto *ofproto, void *aux,
               const struct ofproto_mirror_settings *settings)
{
    int error = base->mirror_set(ofproto, aux, settings);

    /* A mirror that does not work is not there any more. */
    p2p_mirror_set(ofproto, aux, error ? NULL : settings);
    return error;
}

/* ## ---------------- ## */
/* ## Rules and groups ## */
/* ## ---------------- ## */

static enum ofperr
nfv_rule_insert(struct rule *rule, struct rule *old, bool forward_counts)
    OVS_REQUIRES(ofproto_mutex)
{
    enum ofperr error = base->rule_insert(rule, old, forward_counts);

    if (!error) {
        p2p_rule_inserted(rule, old);
    }
    return error;
}

static void
nfv_rule_delete(struct rule *rule)
    OVS_REQUIRES(ofproto_mutex)
{
    p2p_rule_removed(rule);
}

/* Other threads ask for statistics only of rules that nobody uses any more,
 * and so no link. */
static void
nfv_rule_get_stats(struct rule *rule, struct pkt_stats *stats,
                   long long int *used)
{
    if (ovsthread_id_self() == main_thread) {
        p2p_count_rule(rule);
    }
    base->rule_get_stats(rule, stats, used);
}

static enum ofperr
nfv_group_construct(struct ofgroup *group)
{
    enum ofperr error = base->group_construct(group);

    if (!error) {
        p2p_group_added(group);
    }
    return error;
}

static enum ofperr
nfv_group_get_stats(const struct ofgroup *group,
                    struct ofputil_group_stats *stats)
{
    p2p_count_group(group);
    return base->group_get_stats(group, stats);
}

/* ## ------------ ## */
/* ## Registration ## */
/* ## ------------ ## */

OVS_CONSTRUCTOR(ofproto_nfv_register) {
    class = *base;

    /* Where the base has nothing, there is nothing to be called. */
    ovs_assert(!base->rule_delete);

    class.init = nfv_init;
    class.type_run = nfv_type_run;
    class.type_wait = nfv_type_wait;
    class.type_set_config = nfv_type_set_config;
    class.run = nfv_run;
    class.construct = nfv_construct;
    class.destruct = nfv_destruct;
    class.query_tables = nfv_query_tables;
    class.port_construct = nfv_port_construct;
    class.port_destruct = nfv_port_destruct;
    class.port_modified = nfv_port_modified;
    class.port_reconfigured = nfv_port_reconfigured;
    class.set_cfm = nfv_set_cfm;
    class.set_bfd = nfv_set_bfd;
    class.set_lldp = nfv_set_lldp;
    class.set_queues = nfv_set_queues;
    class.bundle_set = nfv_bundle_set;
    class.mirror_set = nfv_mirror_set;
    class.rule_insert = nfv_rule_insert;
    class.rule_delete = nfv_rule_delete;
    class.rule_get_stats = nfv_rule_get_stats;
    class.group_construct = nfv_group_construct;
    class.group_get_stats = nfv_group_get_stats;
    ofproto_class_register(&class);
}
