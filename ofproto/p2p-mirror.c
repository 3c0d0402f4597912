/* SPDX-License-Identifier: Apache-2.0 */

#include <config.h>

#include "p2p-private.h"

#include <stdlib.h>

#include "hmapx.h"
#include "ofproto-dpif.h"
#include "ofproto-provider.h"
#include "p2p.h"
#include "util.h"

/* A mirror, as it was set.  Bundles, of ports, and mirrors themselves are
 * known by what their owner calls them ("aux").  VLANs that it may be limited
 * to are not looked at: packets of any may come. */
struct p2p_mirror {
    struct ovs_list node;       /* In struct p2p_bridge's 'mirrors'. */
    void *aux;
    struct hmapx sources;       /* Bundles where packets come in. */
    struct hmapx sinks;         /* Bundles where they go out. */
    void *output;               /* A bundle, or NULL for a VLAN. */
};

static struct p2p_mirror *
mirror_find(const struct p2p_bridge *b, const void *aux)
{
    struct p2p_mirror *m;

    LIST_FOR_EACH (m, node, &b->mirrors) {
        if (m->aux == aux) {
            return m;
        }
    }
    return NULL;
}

static void
mirror_destroy__(struct p2p_mirror *m)
{
    ovs_list_remove(&m->node);
    hmapx_destroy(&m->sources);
    hmapx_destroy(&m->sinks);
    free(m);
}

static void
set_bundles(struct hmapx *set, void **bundles, size_t n)
{
    hmapx_clear(set);
    for (size_t i = 0; i < n; i++) {
        hmapx_add(set, bundles[i]);
    }
}

/* The bridge has mirror 'aux' as in 's' or, if that is null, does not have
 * it. */
void
p2p_mirror_set(const struct ofproto *ofproto, void *aux,
               const struct ofproto_mirror_settings *s)
{
    struct p2p_bridge *b = p2p_bridge_find(ofproto);
    struct p2p_mirror *m;

    if (!b) {
        return;
    }
    m = mirror_find(b, aux);
    if (!s) {
        if (m) {
            mirror_destroy__(m);
        }
    } else {
        if (!m) {
            m = xzalloc(sizeof *m);
            m->aux = aux;
            hmapx_init(&m->sources);
            hmapx_init(&m->sinks);
            ovs_list_push_back(&b->mirrors, &m->node);
        }
        set_bundles(&m->sources, s->srcs, s->n_srcs);
        set_bundles(&m->sinks, s->dsts, s->n_dsts);
        m->output = s->out_bundle;
    }
    b->ports_changed = true;
}

/* Forgets all mirrors of 'b'. */
void
p2p_mirror_clear(struct p2p_bridge *b)
{
    struct p2p_mirror *m;

    LIST_FOR_EACH_SAFE (m, node, &b->mirrors) {
        mirror_destroy__(m);
    }
}

/* Sets in 'settings', of a port of 'b', what mirrors there are for its
 * bundle. */
void
p2p_mirror_look(const struct p2p_bridge *b, struct p2p_port_settings *settings)
{
    const struct p2p_mirror *m;

    settings->mirrored_in = false;
    settings->mirrored_out = false;
    settings->mirror_output = false;
    LIST_FOR_EACH (m, node, &b->mirrors) {
        settings->mirrored_in |= hmapx_contains(&m->sources, settings->bundle);
        settings->mirrored_out |= hmapx_contains(&m->sinks, settings->bundle);
        settings->mirror_output |= (m->output != NULL
                                    && m->output == settings->bundle);
    }
}
