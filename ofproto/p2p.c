/* SPDX-License-Identifier: Apache-2.0 */

#include <config.h>

#include "p2p.h"

#include <stdlib.h>
#include <string.h>

#include "connectivity.h"
#include "coverage.h"
#include "dpdkr-link.h"
#include "hash.h"
#include "netdev.h"
#include "ofproto-dpif.h"
#include "ofproto-provider.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/vlog.h"
#include "p2p-private.h"
#include "seq.h"
#include "smap.h"
#include "timeval.h"
#include "util.h"
#include "vswitch-idl.h"

VLOG_DEFINE_THIS_MODULE(p2p);

COVERAGE_DEFINE(p2p_evaluate);
COVERAGE_DEFINE(p2p_found);
COVERAGE_DEFINE(p2p_lost);

/* Ports that are not urgent take no more than the LATER_FACTOR-th part of the
 * main thread's time. */
#define LATER_FACTOR 10

/* While a link is being given up, look after it this often, in ms. */
#define BUSY_INTERVAL 1

static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(60, 200);

struct hmap p2p_bridges = HMAP_INITIALIZER(&p2p_bridges);

/* Changed when a thread touches a port, to wake up the main thread. */
static struct seq *touch_seq;
static uint64_t touch_seqno;

static void port_touch__(struct p2p_port *, bool urgent, const struct rule *)
    OVS_REQUIRES(ofproto_mutex);
static void port_touch(struct p2p_port *) OVS_REQUIRES(ofproto_mutex);
static void port_set_verdict(struct p2p_port *, struct p2p_answer *,
                             struct p2p_verdict)
    OVS_REQUIRES(ofproto_mutex);
static bool port_clear_suspects(struct p2p_port *)
    OVS_REQUIRES(ofproto_mutex);
static void port_run_link(struct p2p_port *);

/* ## ---------- ## */
/* ## Life cycle ## */
/* ## ---------- ## */

/* Once, before there is a bridge. */
void
p2p_init(void)
{
    touch_seq = seq_create();
    touch_seqno = seq_read(touch_seq);
    p2p_show_init();
}

static uint32_t
hash_bridge(const struct ofproto *ofproto)
{
    return hash_pointer(ofproto, 0);
}

/* For the main thread, or with ofproto_mutex. */
struct p2p_bridge *
p2p_bridge_find(const struct ofproto *ofproto)
{
    struct p2p_bridge *b;

    HMAP_FOR_EACH_WITH_HASH (b, node, hash_bridge(ofproto), &p2p_bridges) {
        if (&b->ofproto->up == ofproto) {
            return b;
        }
    }
    return NULL;
}

struct p2p_port *
p2p_port_find(const struct p2p_bridge *b, ofp_port_t ofp_port)
{
    struct p2p_port *port;

    HMAP_FOR_EACH_WITH_HASH (port, node, hash_ofp_port(ofp_port), &b->ports) {
        if (port->ofp_port == ofp_port) {
            return port;
        }
    }
    return NULL;
}

void
p2p_bridge_add(struct ofproto *ofproto)
{
    struct p2p_bridge *b = xzalloc(sizeof *b);

    b->ofproto = CONTAINER_OF(ofproto, struct ofproto_dpif, up);
    b->p2p = true;
    b->ports_changed = true;
    hmap_init(&b->ports);
    hmap_init(&b->credited);
    ovs_list_init(&b->busy);
    ovs_list_init(&b->mirrors);
    ovs_list_init(&b->touched);
    ovs_list_init(&b->touched_later);
    p2p_index_init(&b->index, port_touch__);

    ovs_mutex_lock(&ofproto_mutex);
    hmap_insert(&p2p_bridges, &b->node, hash_bridge(ofproto));
    ovs_mutex_unlock(&ofproto_mutex);
}

/* All ports must be removed. */
void
p2p_bridge_remove(struct ofproto *ofproto)
{
    struct p2p_bridge *b = p2p_bridge_find(ofproto);

    ovs_assert(hmap_is_empty(&b->ports));
    ovs_mutex_lock(&ofproto_mutex);
    hmap_remove(&p2p_bridges, &b->node);
    ovs_mutex_unlock(&ofproto_mutex);

    p2p_mirror_clear(b);
    p2p_index_destroy(&b->index);
    hmap_destroy(&b->credited);
    hmap_destroy(&b->ports);
    free(b);
}

void
p2p_port_add(struct ofport *ofport)
{
    struct p2p_bridge *b = p2p_bridge_find(ofport->ofproto);
    struct p2p_port *port;

    b->ports_changed = true;
    if (strcmp(netdev_get_type(ofport->netdev), "dpdkr")) {
        return;
    }

    port = xzalloc(sizeof *port);
    port->bridge = b;
    port->ofport = ofport;
    port->ofp_port = ofport->ofp_port;
    port->told.p2p = true;
    port->source_veto = port->sink_veto = (struct p2p_reason) { "is new", 0 };
    port->changed = true;
    ovs_list_init(&port->touched_node);
    ovs_list_init(&port->busy_node);
    port->verdict = (struct p2p_verdict) {
        OFPP_NONE, P2P_OF_SOURCE, port->source_veto };

    ovs_mutex_lock(&ofproto_mutex);
    hmap_insert(&b->ports, &port->node, hash_ofp_port(port->ofp_port));
    ovs_mutex_unlock(&ofproto_mutex);
}

static void
port_set_busy(struct p2p_port *port)
{
    if (ovs_list_is_empty(&port->busy_node)) {
        ovs_list_push_back(&port->bridge->busy, &port->busy_node);
    }
}

/* Begins to give up the link of 'port', if any.  port_run_link() does the rest
 * when all packets are counted that are on their way. */
static void
port_close_link(struct p2p_port *port)
{
    if (port->link && !port->closing) {
        dpdkr_link_set(port->ofport->netdev, NULL);
        port->closing = true;
        port_set_busy(port);
    }
}

/* Ends the link of 'port', if any, at once. */
static void
port_end_link(struct p2p_port *port)
{
    if (port->link) {
        dpdkr_link_set(port->ofport->netdev, NULL);
        p2p_credit_stop(port);
        port->closing = false;
    }
    ovs_list_remove(&port->busy_node);
    ovs_list_init(&port->busy_node);
}

void
p2p_port_remove(struct ofport *ofport)
{
    struct p2p_bridge *b = p2p_bridge_find(ofport->ofproto);
    struct p2p_port *port = p2p_port_find(b, ofport->ofp_port);
    struct p2p_port *other;

    b->ports_changed = true;
    if (!port) {
        return;
    }

    ovs_mutex_lock(&ofproto_mutex);
    port_set_verdict(port, NULL, (struct p2p_verdict) {
            OFPP_NONE, P2P_OF_SOURCE, { "is being removed", 0 } });
    HMAP_FOR_EACH (other, node, &b->ports) {
        if (other->answer && other->answer->out_port == port->ofp_port) {
            port_set_verdict(other, NULL, (struct p2p_verdict) {
                    port->ofp_port, P2P_OF_SINK, { "is being removed", 0 } });
            port_touch(other);
        }
    }
    ovs_list_remove(&port->touched_node);
    port_clear_suspects(port);
    ovs_mutex_unlock(&ofproto_mutex);

    port_end_link(port);
    HMAP_FOR_EACH (other, node, &b->ports) {
        if (other->link && other->link->out_port == port->ofp_port) {
            port_close_link(other);
        }
    }

    ovs_mutex_lock(&ofproto_mutex);
    hmap_remove(&b->ports, &port->node);
    ovs_mutex_unlock(&ofproto_mutex);
    free(port);
}

/* ## -------- ## */
/* ## Settings ## */
/* ## -------- ## */

static void
configure_interface(struct p2p_bridge *b, const struct ovsrec_interface *row,
                    bool p2p)
{
    const struct ofport *ofport = shash_find_data(&b->ofproto->up.port_by_name,
                                                  row->name);
    struct p2p_port *port = ofport ? p2p_port_find(b, ofport->ofp_port) : NULL;

    if (port) {
        port->told.p2p = p2p;
        port->told.policed = (row->ingress_policing_rate
                              || row->ingress_policing_kpkts_rate);
    }
}

/* Takes the settings that only the database has, or that cannot be read back
 * from where they went. */
void
p2p_configure(struct ofproto *ofproto, const struct ovsrec_bridge *row)
{
    struct p2p_bridge *b = p2p_bridge_find(ofproto);

    if (!b) {
        return;
    }
    b->p2p = smap_get_bool(&row->other_config, "p2p", true);

    for (size_t i = 0; i < row->n_ports; i++) {
        const struct ovsrec_port *port = row->ports[i];
        bool p2p = smap_get_bool(&port->other_config, "p2p", true);

        for (size_t j = 0; j < port->n_interfaces; j++) {
            configure_interface(b, port->interfaces[j], p2p);
        }
    }
    b->ports_changed = true;
}

/* Something about 'ofport' may have changed. */
void
p2p_port_changed(const struct ofport *ofport)
{
    struct p2p_bridge *b = p2p_bridge_find(ofport->ofproto);

    if (b) {
        b->ports_changed = true;
    }
}

/* 'ofport' has queues that set the DSCP field of packets, or none. */
void
p2p_port_set_queues(const struct ofport *ofport, bool marks_dscp)
{
    struct p2p_bridge *b = p2p_bridge_find(ofport->ofproto);
    struct p2p_port *port = b ? p2p_port_find(b, ofport->ofp_port) : NULL;

    if (port) {
        port->told.marks_dscp = marks_dscp;
        b->ports_changed = true;
    }
}

/* The ports that 's' names make up bundle 'aux' and have the settings in
 * 's'. */
void
p2p_bundle_set(const struct ofproto *ofproto, void *aux,
               const struct ofproto_bundle_settings *s)
{
    struct p2p_bridge *b = p2p_bridge_find(ofproto);

    if (!b) {
        return;
    }
    for (size_t i = 0; i < s->n_members; i++) {
        struct p2p_port *port = p2p_port_find(b, s->members[i]);

        if (port) {
            port->told.bundle = aux;
            port->told.bonded = s->n_members > 1;
            port->told.lacp = s->lacp != NULL;
            port->told.protected = s->protected;
        }
    }
    b->ports_changed = true;
}

/* ## ----------- ## */
/* ## Flow tables ## */
/* ## ----------- ## */

/* Has 'port' asked the next time that the bridge runs or, if that is not
 * 'urgent', perhaps some time later.  If the reason is that 'rule' is there
 * now, which is null for others, then only if it still is. */
static void
port_touch__(struct p2p_port *port, bool urgent, const struct rule *rule_)
{
    struct rule *rule = CONST_CAST(struct rule *, rule_);
    struct p2p_bridge *b = port->bridge;

    if (!rule || port->n_suspects >= P2P_MAX_SUSPECTS) {
        port->must_ask = true;
    } else if (!port->must_ask) {
        ofproto_rule_ref(rule);
        port->suspects[port->n_suspects++] = rule;
    }

    if (ovs_list_is_empty(&port->touched_node)) {
        port->urgent = urgent;
        ovs_list_push_back(urgent ? &b->touched : &b->touched_later,
                           &port->touched_node);
        seq_change(touch_seq);
    } else if (urgent && !port->urgent) {
        port->urgent = true;
        ovs_list_remove(&port->touched_node);
        ovs_list_push_back(&b->touched, &port->touched_node);
        seq_change(touch_seq);
    }
}

static void
port_touch(struct p2p_port *port)
{
    port_touch__(port, true, NULL);
}

/* Forgets why 'port' was touched.  Returns true if the reasons were rules and
 * all of them are gone for good. */
static bool
port_clear_suspects(struct p2p_port *port)
{
    ovs_version_t version = port->bridge->version;
    bool gone = !port->must_ask;

    for (size_t i = 0; i < port->n_suspects; i++) {
        const struct cls_rule *cr = &port->suspects[i]->cr;

        gone = (gone && !cls_rule_visible_in_version(cr, version)
                && !cls_rule_visible_in_version(cr, OVS_VERSION_MAX));
        ofproto_rule_unref(port->suspects[i]);
    }
    port->n_suspects = 0;
    port->must_ask = false;
    return gone;
}

/* 'rule' is now visible, instead of 'replaced' unless that is null.  Any
 * thread. */
void
p2p_rule_inserted(const struct rule *rule, const struct rule *replaced)
{
    struct p2p_bridge *b = p2p_bridge_find(rule->ofproto);

    if (b) {
        p2p_index_rule_inserted(&b->index, rule, replaced);
    }
}

/* 'rule' is no longer used by anybody.  Any thread. */
void
p2p_rule_removed(const struct rule *rule)
{
    struct p2p_bridge *b = p2p_bridge_find(rule->ofproto);

    if (b) {
        p2p_index_rule_removed(&b->index, rule);
    }
}

/* A group is about to become visible. */
void
p2p_group_added(const struct ofgroup *group)
{
    struct p2p_bridge *b = p2p_bridge_find(group->ofproto);

    if (b) {
        b->group_added = true;
    }
}

static bool
answer_has_groups(const struct p2p_answer *answer)
{
    return answer && (answer->n_groups || answer->missing_group);
}

/* True if a group that led to 'answer' is gone in 'version', or if one is
 * there now that was missing, which 'added' says may be. */
static bool
groups_concern(const struct p2p_answer *answer, ovs_version_t version,
               bool added)
{
    if (answer->missing_group && added) {
        return true;
    }
    for (size_t i = 0; i < answer->n_groups; i++) {
        if (!versions_visible_in_version(
                &answer->groups[i].group->up.versions, version)) {
            return true;
        }
    }
    return false;
}

static void
check_groups(struct p2p_bridge *b, ovs_version_t version, bool added)
    OVS_REQUIRES(ofproto_mutex)
{
    struct p2p_port *port;

    if (!b->n_group_users) {
        return;
    }
    HMAP_FOR_EACH (port, node, &b->ports) {
        if (answer_has_groups(port->answer)
            && groups_concern(port->answer, version, added)) {
            port_touch(port);
        }
    }
}

/* ## ----- ## */
/* ## Ports ## */
/* ## ----- ## */

static bool
settings_equal(const struct p2p_port_settings *a,
               const struct p2p_port_settings *b)
{
    return (a->bundle == b->bundle
            && a->bonded == b->bonded
            && a->lacp == b->lacp
            && a->protected == b->protected
            && a->marks_dscp == b->marks_dscp
            && a->p2p == b->p2p
            && a->policed == b->policed
            && a->mirrored_in == b->mirrored_in
            && a->mirrored_out == b->mirrored_out
            && a->mirror_output == b->mirror_output
            && a->mtu == b->mtu);
}

/* Sets 'changed' if the state of 'port' is not what it was. */
static void
port_look(struct p2p_port *port)
{
    struct p2p_port_settings settings = port->told;
    const struct ofport *ofport = port->ofport;
    struct p2p_reason source, sink;

    if (netdev_get_mtu(ofport->netdev, &settings.mtu)) {
        settings.mtu = 0;
    }
    p2p_mirror_look(port->bridge, &settings);
    if (settings.mirrored_in != port->settings.mirrored_in
        || settings.mirrored_out != port->settings.mirrored_out) {
        /* The base leaves alone the flows that the datapath has.  Those that
         * packets come back to when a link ends would not know of the mirror,
         * for as long as packets come. */
        port->bridge->ofproto->backer->need_revalidate = REV_RECONFIGURE;
    }
    source = p2p_source_veto(ofport, &settings);
    sink = p2p_sink_veto(ofport, &settings);

    if (!settings_equal(&settings, &port->settings)
        || !p2p_reason_equals(source, port->source_veto)
        || !p2p_reason_equals(sink, port->sink_veto)) {
        port->changed = true;
    }
    port->settings = settings;
    port->source_veto = source;
    port->sink_veto = sink;
}

static bool
watches_changed(const struct p2p_answer *answer,
                const struct ofproto_dpif *ofproto)
{
    for (size_t i = 0; i < answer->n_watches; i++) {
        const struct p2p_watch *w = &answer->watches[i];

        if (p2p_watch_state(ofproto, w->ofp_port) != w->state) {
            return true;
        }
    }
    return false;
}

/* True if a bucket may have come to life, or died.  BFD and CFM change that
 * when they find out, and tell nobody. */
static bool
liveness_changed(const struct p2p_bridge *b)
{
    const struct p2p_port *port;

    if (!b->n_group_users) {
        return false;
    }
    HMAP_FOR_EACH (port, node, &b->ports) {
        if (answer_has_groups(port->answer)
            && watches_changed(port->answer, b->ofproto)) {
            return true;
        }
    }
    return false;
}

/* Touches the ports that have changed, and those whose answers depend on ports
 * that have. */
static void
touch_changed_ports(struct p2p_bridge *b)
    OVS_REQUIRES(ofproto_mutex)
{
    struct p2p_port *port;

    HMAP_FOR_EACH (port, node, &b->ports) {
        const struct p2p_answer *answer = port->answer;
        const struct p2p_port *sink
            = answer ? p2p_port_find(b, answer->out_port) : NULL;

        if (port->changed || (sink && sink->changed)
            || (answer && watches_changed(answer, b->ofproto))) {
            port_touch(port);
        }
    }
    HMAP_FOR_EACH (port, node, &b->ports) {
        port->changed = false;
    }
}

static void
touch_all_ports(struct p2p_bridge *b)
    OVS_REQUIRES(ofproto_mutex)
{
    struct p2p_port *port;

    HMAP_FOR_EACH (port, node, &b->ports) {
        port_touch(port);
    }
}

/* ## -------- ## */
/* ## Verdicts ## */
/* ## -------- ## */

static const char *
port_name(const struct p2p_bridge *b, ofp_port_t ofp_port)
{
    const struct ofport *ofport = ofproto_get_port(&b->ofproto->up, ofp_port);

    return ofport ? netdev_get_name(ofport->netdev) : "port that is gone";
}

/* Appends to 's' why 'port' has no p-2-p link. */
void
p2p_verdict_format(const struct p2p_port *port, struct ds *s)
{
    const struct p2p_verdict *v = &port->verdict;

    switch (v->whose) {
    case P2P_OF_SOURCE:
        ds_put_format(s, "%s: ", port_name(port->bridge, port->ofp_port));
        break;
    case P2P_OF_SINK:
        ds_put_format(s, "%s: ", port_name(port->bridge, v->sink));
        break;
    case P2P_OF_NOBODY:
        break;
    }
    p2p_reason_format(v->reason, s);
}

static void
log_verdict(const struct p2p_port *port, const struct p2p_verdict *old)
{
    const struct p2p_verdict *new = &port->verdict;
    const struct p2p_bridge *b = port->bridge;
    const char *bridge = b->ofproto->up.name;
    const char *source = port_name(b, port->ofp_port);

    if (!new->reason.format) {
        COVERAGE_INC(p2p_found);
        VLOG_INFO_RL(&rl, "%s: all packets from %s go to %s", bridge, source,
                     port_name(b, new->sink));
    } else if (!old->reason.format) {
        struct ds why = DS_EMPTY_INITIALIZER;

        COVERAGE_INC(p2p_lost);
        p2p_verdict_format(port, &why);
        VLOG_INFO_RL(&rl, "%s: not all packets from %s go to %s any more: %s",
                     bridge, source, port_name(b, old->sink), ds_cstr(&why));
        ds_destroy(&why);
    }
}

/* Stores 'answer', which may be null and whose reference it takes over, and
 * 'verdict'. */
static void
port_set_verdict(struct p2p_port *port, struct p2p_answer *answer,
                 struct p2p_verdict verdict)
{
    struct p2p_bridge *b = port->bridge;
    struct p2p_verdict old = port->verdict;

    if (port->answer) {
        p2p_index_remove(&b->index, port->answer);
        b->n_group_users -= answer_has_groups(port->answer);
        p2p_answer_unref(port->answer);
    }
    port->answer = answer;
    if (answer) {
        p2p_index_add(&b->index, &b->ofproto->up, answer, port);
        b->n_group_users += answer_has_groups(answer);
    }

    port->verdict = verdict;
    if (verdict.sink != old.sink
        || (!verdict.reason.format) != (!old.reason.format)) {
        log_verdict(port, &old);
    }
    port_set_busy(port);
}

/* Asks where packets from 'port' go. */
static void
port_evaluate(struct p2p_port *port)
    OVS_REQUIRES(ofproto_mutex)
{
    struct p2p_verdict verdict = { OFPP_NONE, P2P_OF_NOBODY, P2P_YES };
    const struct p2p_bridge *b = port->bridge;
    struct p2p_answer *answer = NULL;

    COVERAGE_INC(p2p_evaluate);
    if (b->veto.format) {
        verdict.reason = b->veto;
    } else if (port->source_veto.format) {
        verdict.whose = P2P_OF_SOURCE;
        verdict.reason = port->source_veto;
    } else {
        answer = p2p_detect(b->ofproto, b->version, port->ofp_port);
        verdict.reason = answer->reason;
        verdict.sink = answer->out_port;
        if (!verdict.reason.format) {
            const struct p2p_port *sink = p2p_port_find(b, verdict.sink);

            if (!sink) {
                verdict.reason.format = "is no dpdkr port";
            } else {
                verdict.reason = sink->sink_veto;
            }
            if (verdict.reason.format) {
                verdict.whose = P2P_OF_SINK;
            } else {
                verdict.reason = p2p_pair_veto(&port->settings,
                                               &sink->settings);
            }
        }
    }
    if (verdict.reason.format && verdict.whose != P2P_OF_SINK) {
        verdict.sink = OFPP_NONE;
    }
    port_set_verdict(port, answer, verdict);
}

/* ## ----- ## */
/* ## Links ## */
/* ## ----- ## */

/* Brings the link of 'port' closer to what its verdict says.  A link to
 * another port first has to be given up, with all packets counted that are on
 * their way. */
static void
port_run_link(struct p2p_port *port)
{
    struct p2p_answer *want = (port->verdict.reason.format
                               ? NULL : port->answer);
    struct netdev *netdev = port->ofport->netdev;

    if (port->link && (!want || want->out_port != port->link->out_port)) {
        port_close_link(port);
    }
    if (port->closing) {
        if (!dpdkr_link_is_settled(netdev)) {
            return;
        }
        p2p_credit_stop(port);
        port->closing = false;
    }

    if (want && !port->link) {
        struct p2p_port *sink = p2p_port_find(port->bridge, want->out_port);

        p2p_credit_start(port, want);
        dpdkr_link_set(netdev, sink->ofport->netdev);
    } else if (want && want != port->link) {
        /* Other rules say the same. */
        p2p_credit_stop(port);
        p2p_credit_start(port, want);
    }

    ovs_list_remove(&port->busy_node);
    ovs_list_init(&port->busy_node);
}

/* ## --------- ## */
/* ## Main loop ## */
/* ## --------- ## */

static struct p2p_reason
bridge_veto(const struct p2p_bridge *b)
{
    if (!b->p2p) {
        return (struct p2p_reason) {
            "switched off for the bridge by other_config:p2p=false", 0 };
    }
    return p2p_bridge_veto(b->ofproto);
}

/* True if there are ports whose time has come. */
static bool
asks_later(const struct p2p_bridge *b)
    OVS_NO_THREAD_SAFETY_ANALYSIS
{
    return !ovs_list_is_empty(&b->touched_later) && time_usec() >= b->later;
}

/* Asks the ports that were touched for sure, and the others, too, if that does
 * not make up more than a part of the time.  Those who remove a million rules
 * touch ports again and again that are uncertain because of them. */
static void
ask_touched_ports(struct p2p_bridge *b)
    OVS_REQUIRES(ofproto_mutex)
{
    long long int start = time_usec();
    struct p2p_port *port;

    if (start >= b->later) {
        ovs_list_push_back_all(&b->touched, &b->touched_later);
    }
    LIST_FOR_EACH_POP (port, touched_node, &b->touched) {
        ovs_list_init(&port->touched_node);
        if (!port_clear_suspects(port)) {
            port_evaluate(port);
        }
    }
    if (start >= b->later) {
        long long int end = time_usec();

        b->later = end + LATER_FACTOR * (end - start);
    }
}

/* Finds out which ports have to be asked, and asks them. */
static void
bridge_run_answers(struct p2p_bridge *b, struct p2p_reason veto,
                   bool ports_changed)
    OVS_EXCLUDED(ofproto_mutex)
{
    ovs_version_t version;

    ovs_mutex_lock(&ofproto_mutex);
    if (!p2p_reason_equals(veto, b->veto)) {
        b->veto = veto;
        touch_all_ports(b);
    }
    if (ports_changed) {
        touch_changed_ports(b);
    }

    version = ofproto_dpif_get_tables_version(b->ofproto);
    p2p_index_run(&b->index, &b->ofproto->up, version);
    if (version != b->version) {
        b->version = version;
        check_groups(b, version, b->group_added);
        b->group_added = false;
    }
    ask_touched_ports(b);
    ovs_mutex_unlock(&ofproto_mutex);
}

static void
bridge_run(struct p2p_bridge *b)
    OVS_EXCLUDED(ofproto_mutex)
{
    uint64_t connectivity_seqno = seq_read(connectivity_seq_get());
    struct p2p_reason veto = bridge_veto(b);
    bool look = (b->ports_changed
                 || connectivity_seqno != b->connectivity_seqno
                 || liveness_changed(b));
    struct p2p_port *port;

    if (look) {
        b->connectivity_seqno = connectivity_seqno;
        b->ports_changed = false;
        HMAP_FOR_EACH (port, node, &b->ports) {
            port_look(port);
        }
    }

    /* Who holds the mutex may do so for long, so look first whether there is
     * anything to do. */
    uint64_t seqno = seq_read(touch_seq);

    if (look || seqno != b->touch_seqno || asks_later(b)
        || ofproto_dpif_get_tables_version(b->ofproto) != b->version
        || !p2p_reason_equals(veto, b->veto)) {
        b->touch_seqno = seqno;
        bridge_run_answers(b, veto, look);
    }

    LIST_FOR_EACH_SAFE (port, busy_node, &b->busy) {
        port_run_link(port);
    }
}

void
p2p_type_run(const char *type)
{
    struct p2p_bridge *b;

    if (hmap_is_empty(&p2p_bridges)) {
        /* p2p_init() may not have been called. */
        return;
    }
    touch_seqno = seq_read(touch_seq);
    HMAP_FOR_EACH (b, node, &p2p_bridges) {
        if (!hmap_is_empty(&b->ports) && !strcmp(b->ofproto->up.type, type)) {
            bridge_run(b);
        }
    }
}

/* Brings all answers up to date. */
void
p2p_run_all(void)
{
    struct p2p_bridge *b;

    HMAP_FOR_EACH (b, node, &p2p_bridges) {
        bridge_run(b);
    }
}

void
p2p_type_wait(const char *type)
{
    struct p2p_bridge *b;

    if (hmap_is_empty(&p2p_bridges)) {
        return;
    }
    seq_wait(touch_seq, touch_seqno);
    HMAP_FOR_EACH (b, node, &p2p_bridges) {
        if (hmap_is_empty(&b->ports) || strcmp(b->ofproto->up.type, type)) {
            continue;
        }
        if (b->ports_changed || !p2p_reason_equals(bridge_veto(b), b->veto)) {
            poll_immediate_wake();
        }
        if (!ovs_list_is_empty(&b->touched_later)) {
            poll_timer_wait_until(MAX(b->later / 1000, time_msec()) + 1);
        }
        if (!ovs_list_is_empty(&b->busy)) {
            poll_timer_wait_until(time_msec() + BUSY_INTERVAL);
        }
    }
}
