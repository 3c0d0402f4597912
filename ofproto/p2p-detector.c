/* SPDX-License-Identifier: Apache-2.0 */

#include <config.h>

#include "p2p-detector.h"

#include <stdlib.h>
#include <string.h>

#include "classifier.h"
#include "coverage.h"
#include "dpif.h"
#include "flow.h"
#include "nx-match.h"
#include "ofproto-dpif.h"
#include "ofproto-provider.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/meta-flow.h"
#include "openvswitch/ofp-actions.h"
#include "openvswitch/ofp-group.h"
#include "openvswitch/ofpbuf.h"
#include "p2p-probe.h"
#include "packets.h"
#include "util.h"

COVERAGE_DEFINE(p2p_probe);

/* The translation into datapath actions gives up and drops the packet at a
 * depth of 64.  No sensible pipeline is that long, so this stays well below,
 * counting tables and groups whether they are nested or not. */
#define MAX_STEPS 48

/* So it does with that many bytes on the stack. */
#define MAX_STACK 65536

struct p2p_ctx {
    struct ofproto_dpif *ofproto;
    ovs_version_t version;
    ofp_port_t in_port;
    struct p2p_answer *answer;

    /* What all packets have in common here: bits that are 1 in 'known' are
     * those of 'flow' in every packet. */
    struct flow flow;
    struct flow_wildcards known;

    uint8_t table_id;           /* Of the rule whose actions are followed. */
    bool exit;                  /* Met an "exit" action. */
    bool modified;              /* Packets are no longer what came in... */
    enum ofpact_type modifier;  /* ...because of an action of this type. */
    bool queued;                /* Packets are destined for a queue. */
    struct ofpbuf action_set;
    bool action_set_has_group;
    struct ofpbuf stack;        /* Values... */
    struct ofpbuf known_stack;  /* ...and what is known of them. */
};

static void follow(struct p2p_ctx *, const struct ofpact *, size_t len)
    OVS_REQUIRES(ofproto_mutex);

/* ## ------- ## */
/* ## Answers ## */
/* ## ------- ## */

/* Appends 'reason', which is no P2P_YES, to 's'.  In the format, "%d" stands
 * for 'arg', and "%a" for the name of the type of action that 'arg' is. */
void
p2p_reason_format(struct p2p_reason reason, struct ds *s)
{
    const char *p = strchr(reason.format, '%');

    if (!p) {
        ds_put_cstr(s, reason.format);
        return;
    }
    ds_put_buffer(s, reason.format, p - reason.format);
    if (p[1] == 'a') {
        ds_put_cstr(s, ofpact_name(reason.arg));
    } else {
        ds_put_format(s, "%d", reason.arg);
    }
    ds_put_cstr(s, p + 2);
}

struct p2p_answer *
p2p_answer_ref(struct p2p_answer *answer)
{
    answer->n_refs++;
    return answer;
}

/* Frees 'answer', which may be null, if this was the last reference. */
void
p2p_answer_unref(struct p2p_answer *answer)
{
    if (!answer || --answer->n_refs) {
        return;
    }
    for (size_t i = 0; i < answer->n_hops; i++) {
        struct p2p_hop *hop = &answer->hops[i];

        minimatch_destroy(&hop->packets);
        if (hop->rule) {
            ofproto_rule_unref(&hop->rule->up);
        }
    }
    for (size_t i = 0; i < answer->n_groups; i++) {
        ofproto_group_unref(&answer->groups[i].group->up);
    }
    free(answer->hops);
    free(answer->groups);
    free(answer->watches);
    free(answer);
}

/* Counts packets in all the tables, rules and groups of a "yes", as if they
 * had gone through them.  Any thread may do that. */
void
p2p_answer_credit(const struct p2p_answer *answer,
                  struct ofproto_dpif *ofproto,
                  const struct dpif_flow_stats *stats)
{
    for (size_t i = 0; i < answer->n_hops; i++) {
        const struct p2p_hop *hop = &answer->hops[i];

        if (hop->rule) {
            ofproto_dpif_credit_table_stats(ofproto, hop->table_id,
                                            stats->n_packets, 0);
            rule_dpif_credit_stats(hop->rule, stats, false);
        } else {
            ofproto_dpif_credit_table_stats(ofproto, hop->table_id,
                                            0, stats->n_packets);
            rule_dpif_credit_stats(ofproto->no_packet_in_rule, stats, false);
        }
    }
    for (size_t i = 0; i < answer->n_groups; i++) {
        const struct p2p_group *group = &answer->groups[i];

        if (group->used) {
            group_dpif_credit_stats(group->group, group->bucket, stats);
        }
    }
}

static bool
has_failed(const struct p2p_ctx *ctx)
{
    return ctx->answer->reason.format != NULL;
}

/* Makes the answer "no".  The first reason stays. */
static void
fail(struct p2p_ctx *ctx, const char *format, int arg)
{
    if (!has_failed(ctx)) {
        ctx->answer->reason.format = format;
        ctx->answer->reason.arg = arg;
    }
}

/* Returns what an answer could depend on of port 'ofp_port'. */
unsigned int
p2p_watch_state(const struct ofproto_dpif *ofproto, ofp_port_t ofp_port)
{
    const struct ofport *ofport = ofproto_get_port(&ofproto->up, ofp_port);

    if (!ofport) {
        return 0;
    }
    return (P2P_WATCH_EXISTS
            | (ofport->pp.config & OFPUTIL_PC_NO_FWD ? P2P_WATCH_NO_FWD : 0)
            | (ofport->may_enable ? P2P_WATCH_LIVE : 0));
}

/* Adds 'ofp_port' to the ports that the answer depends on.  Returns its
 * state. */
static unsigned int
watch(struct p2p_ctx *ctx, ofp_port_t ofp_port)
{
    struct p2p_answer *answer = ctx->answer;
    struct p2p_watch *w;

    if (answer->n_watches >= answer->allocated_watches) {
        answer->watches = x2nrealloc(answer->watches,
                                     &answer->allocated_watches,
                                     sizeof *answer->watches);
    }
    w = &answer->watches[answer->n_watches++];
    w->ofp_port = ofp_port;
    w->state = p2p_watch_state(ctx->ofproto, ofp_port);
    return w->state;
}

/* Adds 'group' to the answer.  Returns its index, which unlike a pointer
 * lasts, or SIZE_MAX if it has just been deleted. */
static size_t
depend_on_group(struct p2p_ctx *ctx, struct group_dpif *group)
{
    struct p2p_answer *answer = ctx->answer;

    if (!ofproto_group_try_ref(&group->up)) {
        answer->missing_group = true;
        fail(ctx, "a group is about to go", 0);
        return SIZE_MAX;
    }
    if (answer->n_groups >= answer->allocated_groups) {
        answer->groups = x2nrealloc(answer->groups, &answer->allocated_groups,
                                    sizeof *answer->groups);
    }
    answer->groups[answer->n_groups] = (struct p2p_group) { .group = group };
    return answer->n_groups++;
}

static bool
take_step(struct p2p_ctx *ctx)
{
    if (ctx->answer->n_hops + ctx->answer->n_groups >= MAX_STEPS) {
        fail(ctx, "more than %d tables and groups on the way", MAX_STEPS);
        return false;
    }
    if (ctx->stack.size >= MAX_STACK) {
        fail(ctx, "more than %d bytes on the stack", MAX_STACK);
        return false;
    }
    return true;
}

/* ## ------------- ## */
/* ## What is known ## */
/* ## ------------- ## */

/* Marks as known in 'wc' the fields that are the same in all packets from a
 * port, whatever is in them. */
static void
init_known(struct flow_wildcards *wc)
{
    struct flow *masks = &wc->masks;

    memset(wc, 0, sizeof *wc);

    /* Metadata.  Those of tunnels with a length of their own are left out: a
     * rule that matches them is one that a packet of ours may match. */
    memset(masks, 0xff, offsetof(struct flow, tunnel.metadata));
    memset((char *) masks + offsetof(struct flow, metadata), 0xff,
           FLOW_SEGMENT_1_ENDS_AT - offsetof(struct flow, metadata));

    /* Connection tracking, which has not seen them. */
    WC_MASK_FIELD(wc, ct_nw_src);
    WC_MASK_FIELD(wc, ct_nw_dst);
    WC_MASK_FIELD(wc, ct_ipv6_src);
    WC_MASK_FIELD(wc, ct_ipv6_dst);
    WC_MASK_FIELD(wc, ct_tp_src);
    WC_MASK_FIELD(wc, ct_tp_dst);
}

/* True if an action may write 'field' without a trace in the packet that goes
 * out.  Tunnel fields other than the key could be, but are left to those who
 * find a need for them. */
static bool
is_scratch(const struct mf_field *field)
{
    switch ((int) field->id) {
    CASE_MFF_REGS:
    CASE_MFF_XREGS:
    CASE_MFF_XXREGS:
    case MFF_METADATA:
    case MFF_TUN_ID:
    case MFF_IN_PORT:
    case MFF_IN_PORT_OXM:
        return true;
    default:
        return false;
    }
}

static bool
is_in_port(const struct mf_field *field)
{
    return field->id == MFF_IN_PORT || field->id == MFF_IN_PORT_OXM;
}

static bool
subfield_is_known(const struct p2p_ctx *ctx, const struct mf_subfield *sf)
{
    union mf_subvalue mask;

    if (mf_is_tun_metadata(sf->field)) {
        return false;
    }
    mf_read_subfield(sf, &ctx->known.masks, &mask);
    return (bitwise_scan(&mask, sizeof mask, false, 0, sf->n_bits)
            == sf->n_bits);
}

static void
forget_subfield(struct p2p_ctx *ctx, const struct mf_subfield *sf)
{
    const union mf_subvalue zeros = { .u8 = { 0 } };

    mf_write_subfield_flow(sf, &zeros, &ctx->known.masks);
}

/* Action 'a' changes packets, or metadata that is no scratch. */
static void
modify(struct p2p_ctx *ctx, const struct ofpact *a)
{
    if (!ctx->modified) {
        ctx->modified = true;
        ctx->modifier = a->type;
    }

    /* They may go on to other tables, after they went out. */
    ctx->known.masks.pkt_mark = 0;
    memset(&ctx->known.masks.tunnel, 0, sizeof ctx->known.masks.tunnel);
}

static void
follow_set_field(struct p2p_ctx *ctx, const struct ofpact_set_field *sf)
{
    if (is_scratch(sf->field)) {
        mf_mask_field_masked(sf->field, ofpact_set_field_mask(sf),
                             &ctx->known);
        mf_set_flow_value_masked(sf->field, sf->value,
                                 ofpact_set_field_mask(sf), &ctx->flow);
    } else {
        modify(ctx, &sf->ofpact);
    }
}

static void
follow_move(struct p2p_ctx *ctx, const struct ofpact_reg_move *move)
{
    if (!is_scratch(move->dst.field)) {
        modify(ctx, &move->ofpact);
    } else if (is_in_port(move->dst.field)
               && !subfield_is_known(ctx, &move->src)) {
        fail(ctx, "action %a makes up an input port", move->ofpact.type);
    } else if (move->src.field->prereqs != MFP_NONE
               || mf_is_tun_metadata(move->src.field)) {
        /* It depends on the packet even whether there is something to move. */
        forget_subfield(ctx, &move->dst);
    } else {
        mf_subfield_copy(&move->src, &move->dst, &ctx->flow, NULL);
        mf_subfield_copy(&move->src, &move->dst, &ctx->known.masks, NULL);
    }
}

static void
follow_push(struct p2p_ctx *ctx, const struct ofpact_stack *push)
{
    struct flow_wildcards wc;   /* For nobody. */

    if (mf_is_tun_metadata(push->subfield.field)) {
        fail(ctx, "action %a", push->ofpact.type);
        return;
    }
    flow_wildcards_init_catchall(&wc);
    nxm_execute_stack_push(push, &ctx->flow, &wc, &ctx->stack);
    nxm_execute_stack_push(push, &ctx->known.masks, &wc, &ctx->known_stack);
}

static void
follow_pop(struct p2p_ctx *ctx, const struct ofpact_stack *pop)
{
    struct flow_wildcards wc;   /* For nobody. */

    if (!is_scratch(pop->subfield.field)) {
        fail(ctx, "action %a changes packets", pop->ofpact.type);
        return;
    }
    if (pop->subfield.field->id == MFF_IN_PORT_OXM) {
        /* With 32 bits, there are numbers of no port.  One that is known in
         * part cannot be told from one that is known. */
        fail(ctx, "action %a makes up an input port", pop->ofpact.type);
        return;
    }
    /* With an empty stack, nothing is changed. */
    flow_wildcards_init_catchall(&wc);
    nxm_execute_stack_pop(pop, &ctx->flow, &wc, &ctx->stack);
    nxm_execute_stack_pop(pop, &ctx->known.masks, &wc, &ctx->known_stack);
    if (is_in_port(pop->subfield.field)
        && ctx->known.masks.in_port.ofp_port != OFP_PORT_C(UINT16_MAX)) {
        fail(ctx, "action %a makes up an input port", pop->ofpact.type);
    }
}

/* ## ------ ## */
/* ## Output ## */
/* ## ------ ## */

static void
output_to_port(struct p2p_ctx *ctx, ofp_port_t port)
{
    unsigned int state = watch(ctx, port);
    struct p2p_answer *answer = ctx->answer;

    if (!(state & P2P_WATCH_EXISTS) || state & P2P_WATCH_NO_FWD) {
        return;
    }

    if (answer->out_port != OFPP_NONE) {
        fail(ctx, "packets go out more than once", 0);
    } else if (ctx->modified) {
        fail(ctx, "action %a changes packets", ctx->modifier);
    } else if (ctx->queued) {
        fail(ctx, "packets are put into a queue", 0);
    } else if (port == ctx->in_port) {
        fail(ctx, "packets go back to where they come from", 0);
    } else if (ctx->flow.in_port.ofp_port != ctx->in_port
               && watch(ctx, ctx->flow.in_port.ofp_port)) {
        /* Settings of that port may have a say. */
        fail(ctx, "packets pretend to come from port %d",
             ofp_to_u16(ctx->flow.in_port.ofp_port));
    } else {
        answer->out_port = port;
    }
}

static void
output(struct p2p_ctx *ctx, ofp_port_t port)
{
    switch (port) {
    case OFPP_NONE:
        break;

    case OFPP_IN_PORT:
        output_to_port(ctx, ctx->flow.in_port.ofp_port);
        break;

    case OFPP_CONTROLLER:
        fail(ctx, "packets go to a controller", 0);
        break;

    case OFPP_NORMAL:
        fail(ctx, "action NORMAL", 0);
        break;

    case OFPP_FLOOD:
        fail(ctx, "action FLOOD", 0);
        break;

    case OFPP_ALL:
        fail(ctx, "action ALL", 0);
        break;

    case OFPP_TABLE:
        fail(ctx, "action TABLE", 0);
        break;

    default:
        if (port != ctx->flow.in_port.ofp_port) {
            output_to_port(ctx, port);
        }
        break;
    }
}

static void
output_to_subfield(struct p2p_ctx *ctx, const struct ofpact_output_reg *a)
{
    if (!subfield_is_known(ctx, &a->src)) {
        fail(ctx, "action %a goes by what is in the packet", a->ofpact.type);
    } else {
        uint64_t port = mf_get_subfield(&a->src, &ctx->flow);

        if (port <= UINT16_MAX) {
            output(ctx, u16_to_ofp(port));
        }
    }
}

/* ## ------ ## */
/* ## Tables ## */
/* ## ------ ## */

/* Looks up in 'table_id', as if packets came from 'in_port', and follows the
 * rule that they all find, if there is one.  'honor_miss' says whether what is
 * configured for misses in that table matters if they all find none. */
static void
follow_table(struct p2p_ctx *ctx, uint8_t table_id, ofp_port_t in_port,
             bool honor_miss)
    OVS_REQUIRES(ofproto_mutex)
{
    struct p2p_answer *answer = ctx->answer;
    const struct ofproto *up = &ctx->ofproto->up;

    if (!take_step(ctx)) {
        return;
    }
    if (table_id >= up->n_tables || table_id == TBL_INTERNAL) {
        fail(ctx, "table %d is not for them", table_id);
        return;
    }

    ofp_port_t saved_in_port = ctx->flow.in_port.ofp_port;
    const struct cls_rule *cr;
    bool certain;

    COVERAGE_INC(p2p_probe);
    ctx->flow.in_port.ofp_port = in_port;
    certain = p2p_probe(&up->tables[table_id].cls, ctx->version, &ctx->flow,
                        &ctx->known, &cr);

    if (answer->n_hops >= answer->allocated_hops) {
        answer->hops = x2nrealloc(answer->hops, &answer->allocated_hops,
                                  sizeof *answer->hops);
    }
    struct p2p_hop *hop = &answer->hops[answer->n_hops++];
    struct match match;

    memset(hop, 0, sizeof *hop);
    hop->table_id = table_id;
    match_init(&match, &ctx->flow, &ctx->known);
    minimatch_init(&hop->packets, &match);
    ctx->flow.in_port.ofp_port = saved_in_port;

    if (!certain) {
        fail(ctx, "not all packets match the same rule in table %d", table_id);
        return;
    }

    struct rule *rule = rule_from_cls_rule(cr);

    if (rule && !ofproto_rule_try_ref(rule)) {
        /* It has just been deleted, so we shall be asked again. */
        fail(ctx, "a rule is about to go from table %d", table_id);
        return;
    }
    hop->certain = true;
    if (rule) {
        uint8_t saved_table_id = ctx->table_id;
        const struct rule_actions *actions = rule_get_actions(rule);

        hop->rule = CONTAINER_OF(rule, struct rule_dpif, up);
        ctx->table_id = table_id;
        follow(ctx, actions->ofpacts, actions->ofpacts_len);
        ctx->table_id = saved_table_id;
    } else if (honor_miss) {
        /* They may be dropped here or go to a controller, depending on who is
         * connected. */
        fail(ctx, "packets match no rule in table %d", table_id);
    }
}

static void
follow_resubmit(struct p2p_ctx *ctx, const struct ofpact_resubmit *resubmit)
    OVS_REQUIRES(ofproto_mutex)
{
    if (resubmit->with_ct_orig) {
        fail(ctx, "action %a looks at their connections",
             resubmit->ofpact.type);
        return;
    }

    follow_table(ctx,
                 resubmit->table_id != 255 ? resubmit->table_id
                                           : ctx->table_id,
                 resubmit->in_port != OFPP_IN_PORT
                 ? resubmit->in_port : ctx->flow.in_port.ofp_port,
                 false);
}

/* ## ------ ## */
/* ## Groups ## */
/* ## ------ ## */

static bool bucket_is_live(struct p2p_ctx *, const struct group_dpif *,
                           const struct ofputil_bucket *);

/* Returns the group with the given id, or NULL. */
static struct group_dpif *
lookup_group(struct p2p_ctx *ctx, uint32_t group_id)
{
    return group_dpif_lookup(ctx->ofproto, group_id, ctx->version, false);
}

static bool
group_is_live(struct p2p_ctx *ctx, uint32_t group_id)
{
    struct group_dpif *group = lookup_group(ctx, group_id);
    const struct ofputil_bucket *bucket;

    if (!group) {
        ctx->answer->missing_group = true;
        return false;
    }
    if (!take_step(ctx) || depend_on_group(ctx, group) == SIZE_MAX) {
        return false;
    }
    LIST_FOR_EACH (bucket, list_node, &group->up.buckets) {
        if (bucket_is_live(ctx, group, bucket)) {
            return true;
        }
    }
    return false;
}

static bool
bucket_is_live(struct p2p_ctx *ctx, const struct group_dpif *group,
               const struct ofputil_bucket *bucket)
{
    if (group->up.type == OFPGT11_SELECT && !bucket->weight) {
        return false;
    }
    if (!ofputil_bucket_has_liveness(bucket)) {
        return true;
    }
    if (bucket->watch_port == OFPP_CONTROLLER) {
        fail(ctx, "a bucket watches the controller", 0);
        return false;
    }
    if (bucket->watch_port != OFPP_ANY
        && watch(ctx, bucket->watch_port) & P2P_WATCH_LIVE) {
        return true;
    }
    return (bucket->watch_group != OFPG_ANY
            && group_is_live(ctx, bucket->watch_group));
}

static void
follow_bucket(struct p2p_ctx *ctx, const struct ofputil_bucket *bucket)
    OVS_REQUIRES(ofproto_mutex)
{
    struct ofpbuf set = ofpbuf_const_initializer(bucket->ofpacts,
                                                 bucket->ofpacts_len);
    struct flow_wildcards saved_known = ctx->known;
    struct flow saved_flow = ctx->flow;
    bool saved_modified = ctx->modified;
    bool saved_queued = ctx->queued;
    uint64_t stub[256 / 8];
    struct ofpbuf list = OFPBUF_STUB_INITIALIZER(stub);

    ofpacts_execute_action_set(&list, &set);
    follow(ctx, list.data, list.size);
    ofpbuf_uninit(&list);

    /* What follows the group is done to the packet as it was before. */
    ctx->known = saved_known;
    ctx->flow = saved_flow;
    ctx->modified = saved_modified;
    ctx->queued = saved_queued;
    ctx->exit = false;
}

/* Returns the only bucket of 'group', of type "select", that packets can use,
 * or NULL if there is none or a choice. */
static struct ofputil_bucket *
only_bucket(struct p2p_ctx *ctx, struct group_dpif *group)
{
    struct ofputil_bucket *bucket, *only = NULL;

    LIST_FOR_EACH (bucket, list_node, &group->up.buckets) {
        if (bucket_is_live(ctx, group, bucket)) {
            if (only) {
                fail(ctx, "group %d spreads packets over buckets",
                     group->up.group_id);
                return NULL;
            }
            only = bucket;
        }
    }

    /* The bucket may be chosen by a hash, which takes one more turn through
     * the datapath, and leaves its marks in the metadata. */
    ctx->known.masks.dp_hash = 0;
    ctx->known.masks.recirc_id = 0;
    return only;
}

static struct ofputil_bucket *
first_live_bucket(struct p2p_ctx *ctx, struct group_dpif *group)
{
    struct ofputil_bucket *bucket;

    LIST_FOR_EACH (bucket, list_node, &group->up.buckets) {
        if (bucket_is_live(ctx, group, bucket)) {
            return bucket;
        }
    }
    return NULL;
}

static void
follow_group(struct p2p_ctx *ctx, uint32_t group_id)
    OVS_REQUIRES(ofproto_mutex)
{
    struct group_dpif *group = lookup_group(ctx, group_id);
    struct ofputil_bucket *bucket;
    size_t i;

    if (!group) {
        ctx->answer->missing_group = true;
        fail(ctx, "there is no group %d", group_id);
        return;
    }
    if (!take_step(ctx)) {
        return;
    }
    i = depend_on_group(ctx, group);
    if (i == SIZE_MAX) {
        return;
    }

    switch (group->up.type) {
    case OFPGT11_ALL:
    case OFPGT11_INDIRECT:
        LIST_FOR_EACH (bucket, list_node, &group->up.buckets) {
            follow_bucket(ctx, bucket);
        }
        ctx->answer->groups[i].used = true;
        return;

    case OFPGT11_SELECT:
        bucket = only_bucket(ctx, group);
        break;

    case OFPGT11_FF:
        bucket = first_live_bucket(ctx, group);
        break;

    default:
        fail(ctx, "group %d is of an unknown type", group_id);
        return;
    }

    if (bucket && !has_failed(ctx)) {
        follow_bucket(ctx, bucket);
        ctx->answer->groups[i].used = true;
        ctx->answer->groups[i].bucket = bucket;
    }
}

/* ## ------- ## */
/* ## Actions ## */
/* ## ------- ## */

static void
clear_action_set(struct p2p_ctx *ctx)
{
    ofpbuf_clear(&ctx->action_set);
    ctx->flow.actset_output = OFPP_UNSET;
    ctx->action_set_has_group = false;
}

static void
write_actions(struct p2p_ctx *ctx, const struct ofpact_nest *nest)
{
    size_t len = ofpact_nest_get_action_len(nest);
    const struct ofpact *a;

    /* A field tells the port in the action set, unless that has a group. */
    OFPACT_FOR_EACH (a, nest->actions, len) {
        if (ctx->action_set_has_group) {
            break;
        } else if (a->type == OFPACT_OUTPUT) {
            ctx->flow.actset_output = ofpact_get_OUTPUT(a)->port;
        } else if (a->type == OFPACT_GROUP) {
            ctx->flow.actset_output = OFPP_UNSET;
            ctx->action_set_has_group = true;
        }
    }
    ofpbuf_put(&ctx->action_set, nest->actions, len);
}

static void
write_metadata(struct p2p_ctx *ctx, const struct ofpact_metadata *a)
{
    ctx->flow.metadata &= ~a->mask;
    ctx->flow.metadata |= a->metadata & a->mask;
    ctx->known.masks.metadata |= a->mask;
}

static void
follow_action(struct p2p_ctx *ctx, const struct ofpact *a)
    OVS_REQUIRES(ofproto_mutex)
{
    switch ((int) a->type) {
    case OFPACT_OUTPUT:
        output(ctx, ofpact_get_OUTPUT(a)->port);
        break;
    case OFPACT_OUTPUT_REG:
        output_to_subfield(ctx, ofpact_get_OUTPUT_REG(a));
        break;
    case OFPACT_GROUP:
        follow_group(ctx, ofpact_get_GROUP(a)->group_id);
        break;
    case OFPACT_RESUBMIT:
        follow_resubmit(ctx, ofpact_get_RESUBMIT(a));
        break;
    case OFPACT_GOTO_TABLE:
        follow_table(ctx, ofpact_get_GOTO_TABLE(a)->table_id,
                     ctx->flow.in_port.ofp_port, true);
        break;

    case OFPACT_CLEAR_ACTIONS:
        clear_action_set(ctx);
        break;
    case OFPACT_WRITE_ACTIONS:
        write_actions(ctx, ofpact_get_WRITE_ACTIONS(a));
        break;
    case OFPACT_EXIT:
        ctx->exit = true;
        break;

    case OFPACT_WRITE_METADATA:
        write_metadata(ctx, ofpact_get_WRITE_METADATA(a));
        break;
    case OFPACT_SET_TUNNEL:
        ctx->flow.tunnel.tun_id = htonll(ofpact_get_SET_TUNNEL(a)->tun_id);
        break;
    case OFPACT_SET_FIELD:
        follow_set_field(ctx, ofpact_get_SET_FIELD(a));
        break;
    case OFPACT_REG_MOVE:
        follow_move(ctx, ofpact_get_REG_MOVE(a));
        break;
    case OFPACT_STACK_PUSH:
        follow_push(ctx, ofpact_get_STACK_PUSH(a));
        break;
    case OFPACT_STACK_POP:
        follow_pop(ctx, ofpact_get_STACK_POP(a));
        break;

    case OFPACT_SET_QUEUE:
        ctx->queued = true;
        break;
    case OFPACT_POP_QUEUE:
        ctx->queued = false;
        break;

    /* Without effect, unless something precedes them that is "no" anyway. */
    case OFPACT_NOTE:
    case OFPACT_CONJUNCTION:
    case OFPACT_CT_CLEAR:
        break;

    /* They change packets, and do nothing else.  After the output, nobody
     * cares. */
    case OFPACT_PUSH_VLAN:
    case OFPACT_SET_ETH_DST:
    case OFPACT_SET_ETH_SRC:
    case OFPACT_SET_IPV4_DST:
    case OFPACT_SET_IPV4_SRC:
    case OFPACT_SET_IP_DSCP:
    case OFPACT_SET_IP_ECN:
    case OFPACT_SET_IP_TTL:
    case OFPACT_SET_L4_DST_PORT:
    case OFPACT_SET_L4_SRC_PORT:
    case OFPACT_SET_VLAN_PCP:
    case OFPACT_SET_VLAN_VID:
    case OFPACT_STRIP_VLAN:
        modify(ctx, a);
        break;

    case OFPACT_CONTROLLER:
        fail(ctx, "packets go to a controller", 0);
        break;

    /* Among these: what spreads packets, looks at connections, meters, learns,
     * samples, truncates, or goes through the datapath once more. */
    default:
        fail(ctx, "action %a", a->type);
        break;
    }
}

static void
follow(struct p2p_ctx *ctx, const struct ofpact *ofpacts, size_t len)
    OVS_REQUIRES(ofproto_mutex)
{
    const struct ofpact *a;

    OFPACT_FOR_EACH (a, ofpacts, len) {
        if (has_failed(ctx) || ctx->exit) {
            break;
        }
        follow_action(ctx, a);
    }
}

static void
follow_action_set(struct p2p_ctx *ctx)
    OVS_REQUIRES(ofproto_mutex)
{
    uint64_t stub[256 / 8];
    struct ofpbuf list = OFPBUF_STUB_INITIALIZER(stub);

    ofpacts_execute_action_set(&list, &ctx->action_set);
    ofpbuf_clear(&ctx->action_set);
    follow(ctx, list.data, list.size);
    ofpbuf_uninit(&list);
}

/* Finds out where all packets go that enter 'ofproto' by 'in_port', according
 * to 'version' of its tables.  The caller owns a reference to the answer. */
struct p2p_answer *
p2p_detect(struct ofproto_dpif *ofproto, ovs_version_t version,
           ofp_port_t in_port)
{
    struct p2p_answer *answer = xzalloc(sizeof *answer);
    uint64_t action_set_stub[256 / 8];
    uint64_t stack_stub[64 / 8], known_stack_stub[64 / 8];
    struct p2p_ctx ctx = {
        .ofproto = ofproto,
        .version = version,
        .in_port = in_port,
        .answer = answer,
        .action_set = OFPBUF_STUB_INITIALIZER(action_set_stub),
        .stack = OFPBUF_STUB_INITIALIZER(stack_stub),
        .known_stack = OFPBUF_STUB_INITIALIZER(known_stack_stub),
    };

    answer->n_refs = 1;
    answer->out_port = OFPP_NONE;
    ctx.flow.packet_type = htonl(PT_ETH);
    ctx.flow.in_port.ofp_port = in_port;
    ctx.flow.actset_output = OFPP_UNSET;
    init_known(&ctx.known);

    follow_table(&ctx, 0, in_port, true);
    if (!has_failed(&ctx)) {
        follow_action_set(&ctx);
    }
    if (answer->out_port == OFPP_NONE) {
        fail(&ctx, "packets are dropped", 0);
    }
    if (has_failed(&ctx)) {
        answer->out_port = OFPP_NONE;
    }

    ofpbuf_uninit(&ctx.action_set);
    ofpbuf_uninit(&ctx.stack);
    ofpbuf_uninit(&ctx.known_stack);
    return answer;
}
