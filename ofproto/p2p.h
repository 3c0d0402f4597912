/* SPDX-License-Identifier: Apache-2.0 */

#ifndef P2P_H
#define P2P_H 1

/* The p-2-p link detector
 * =======================
 *
 * Finds the ports of a bridge whose packets all leave by one other port,
 * unchanged and unnoticed, and lets the peers of such ports exchange packets
 * without the switch, through dpdkr-link.h.  It counts what they exchange
 * where it would have been counted.
 *
 * The files of this room:
 *
 *   - p2p-detector.c: asks the flow tables, with p2p-probe.c.
 *   - p2p-veto.c: what else has a say.
 *   - p2p-mirror.c: which ports are mirrored.
 *   - p2p-index.c: which ports to ask again when a rule changes.
 *   - p2p.c: keeps the answers up to date, and the links to them.
 *   - p2p-counters.c: counts what went past the switch.
 *   - p2p-show.c: "ovs-appctl p2p/show".
 *
 * ofproto-nfv.c calls the functions below from the members of our ofproto
 * class.
 *
 *
 * When a port is asked again
 * --------------------------
 *
 * A rule that is inserted touches ports by the index, at once and in any
 * thread.  All else is looked at in p2p_type_run(), which the main loop calls
 * before it handles OpenFlow messages and after the configuration has changed:
 *
 *   - rules and groups that are gone, when there is a new version of the
 *     tables;
 *   - the state of ports, when it may have changed;
 *   - what is in force for the bridge, each time, since that is cheap.
 *
 * Then the ports that were touched are asked, once, however many changes there
 * were.  So an answer is as old as the flows in the datapath may be, which are
 * revalidated by the same main loop.
 *
 *
 * Threads
 * -------
 *
 * The main thread, unless said otherwise.  Bridges are added and removed, and
 * answers stored, with ofproto_mutex, so that other threads may look at them
 * with it. */

#include <stdbool.h>
#include <stddef.h>

#include "ovs-thread.h"

struct ofgroup;
struct ofport;
struct ofproto;
struct ofproto_bundle_settings;
struct ofproto_mirror_settings;
struct ovsrec_bridge;
struct rule;

extern struct ovs_mutex ofproto_mutex;

void p2p_init(void);

/* Life cycle.  A port is removed before its netdev is closed. */
void p2p_bridge_add(struct ofproto *) OVS_EXCLUDED(ofproto_mutex);
void p2p_bridge_remove(struct ofproto *) OVS_EXCLUDED(ofproto_mutex);
void p2p_port_add(struct ofport *) OVS_EXCLUDED(ofproto_mutex);
void p2p_port_remove(struct ofport *) OVS_EXCLUDED(ofproto_mutex);

/* Settings. */
void p2p_configure(struct ofproto *, const struct ovsrec_bridge *);
void p2p_port_changed(const struct ofport *);
void p2p_port_set_queues(const struct ofport *, bool marks_dscp);
void p2p_bundle_set(const struct ofproto *, void *aux,
                    const struct ofproto_bundle_settings *);
void p2p_mirror_set(const struct ofproto *, void *aux,
                    const struct ofproto_mirror_settings *);

/* Flow tables. */
void p2p_rule_inserted(const struct rule *, const struct rule *replaced)
    OVS_REQUIRES(ofproto_mutex);
void p2p_rule_removed(const struct rule *) OVS_REQUIRES(ofproto_mutex);
void p2p_group_added(const struct ofgroup *);

/* The main loop. */
void p2p_type_run(const char *type) OVS_EXCLUDED(ofproto_mutex);
void p2p_type_wait(const char *type) OVS_EXCLUDED(ofproto_mutex);

/* Counters.  With ofproto_mutex or without. */
void p2p_count_all(const struct ofproto *);
void p2p_count_rule(const struct rule *);
void p2p_count_group(const struct ofgroup *);

#endif /* p2p.h */
