/* SPDX-License-Identifier: Apache-2.0 */

#ifndef P2P_PRIVATE_H
#define P2P_PRIVATE_H 1

/* What the files of the p-2-p link detector share. */

#include "openvswitch/hmap.h"
#include "openvswitch/list.h"
#include "ovs-thread.h"
#include "p2p-detector.h"
#include "p2p-index.h"
#include "p2p-veto.h"
#include "versions.h"

struct netdev;
struct ofport;
struct ofproto_dpif;

extern struct ovs_mutex ofproto_mutex;

/* The last word about a port: the reason, and whose it is. */
enum p2p_whose {
    P2P_OF_NOBODY,              /* Of the bridge or the tables. */
    P2P_OF_SOURCE,              /* Of the port itself. */
    P2P_OF_SINK                 /* Of the port that 'sink' tells. */
};

struct p2p_verdict {
    ofp_port_t sink;            /* OFPP_NONE if "no", unless P2P_OF_SINK. */
    enum p2p_whose whose;
    struct p2p_reason reason;   /* P2P_YES if "yes". */
};

/* Rules that a port notes down as reasons to ask it. */
#define P2P_MAX_SUSPECTS 32

/* A bridge. */
struct p2p_bridge {
    struct hmap_node node;      /* In 'p2p_bridges'. */
    struct ofproto_dpif *ofproto;

    /* Main thread only. */
    struct hmap ports;          /* Of struct p2p_port, by OpenFlow number. */
    bool p2p;                   /* Not switched off by the user. */
    struct p2p_reason veto;     /* As last seen. */
    uint64_t connectivity_seqno; /* The same. */
    ovs_version_t version;      /* The same. */
    uint64_t touch_seqno;       /* The same. */
    bool ports_changed;         /* State of ports may have changed. */
    struct ovs_list busy;       /* Of struct p2p_port by 'busy_node', whose
                                 * links are not as they should be. */
    struct hmap credited;       /* Of struct p2p_hop by 'rule_node', of ports
                                 * with links, by rule. */
    struct ovs_list mirrors;    /* See p2p-mirror.c. */
    int n_links;

    /* With ofproto_mutex. */
    struct p2p_index index;
    struct ovs_list touched;    /* Of struct p2p_port by 'touched_node'... */
    struct ovs_list touched_later; /* ...likewise, but not before... */
    long long int later;        /* ...time_usec() is this. */
    int n_group_users;          /* Answers with groups. */

    bool group_added;           /* Main thread only. */
};

/* A port that can be an end of a direct link, as far as its type goes. */
struct p2p_port {
    struct hmap_node node;      /* In struct p2p_bridge's 'ports'. */
    struct p2p_bridge *bridge;
    struct ofport *ofport;
    ofp_port_t ofp_port;

    /* With ofproto_mutex. */
    struct ovs_list touched_node; /* Empty if it need not be asked. */
    bool urgent;                /* In the bridge's 'touched'. */
    bool must_ask;              /* For another reason than these rules, which
                                 * were inserted since it was asked: */
    struct rule *suspects[P2P_MAX_SUSPECTS]; /* With a reference each. */
    size_t n_suspects;

    /* All below is for the main thread only. */

    /* State. */
    struct p2p_port_settings told; /* By those who set it. */
    struct p2p_port_settings settings; /* This and all else, as last seen. */
    struct p2p_reason source_veto; /* The same. */
    struct p2p_reason sink_veto; /* The same. */
    bool changed;               /* Has just been seen to be different. */

    /* Stored with ofproto_mutex. */
    struct p2p_answer *answer;  /* NULL if not asked because of a veto. */
    struct p2p_verdict verdict;

    /* The link, see p2p.c. */
    struct p2p_answer *link;    /* By which traffic is counted, or NULL. */
    bool closing;               /* It has been asked for its end. */
    struct ovs_list busy_node;  /* Empty if all is well. */
};

/* All bridges, by ofproto. */
extern struct hmap p2p_bridges;

struct p2p_bridge *p2p_bridge_find(const struct ofproto *);
struct p2p_port *p2p_port_find(const struct p2p_bridge *, ofp_port_t);
void p2p_run_all(void) OVS_EXCLUDED(ofproto_mutex);
void p2p_verdict_format(const struct p2p_port *, struct ds *);

/* p2p-mirror.c */
void p2p_mirror_clear(struct p2p_bridge *);
void p2p_mirror_look(const struct p2p_bridge *, struct p2p_port_settings *);

/* p2p-show.c */
void p2p_show_init(void);

/* p2p-counters.c */
void p2p_credit_start(struct p2p_port *, struct p2p_answer *);
void p2p_credit_stop(struct p2p_port *);
void p2p_count_port(struct p2p_port *);

#endif /* p2p-private.h */
