/* SPDX-License-Identifier: Apache-2.0 */

#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "dpdkr-link.h"
#include "netdev.h"
#include "ofproto-dpif.h"
#include "ofproto-provider.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/json.h"
#include "openvswitch/shash.h"
#include "p2p-private.h"
#include "unixctl.h"
#include "util.h"

/* What is to be shown of a port. */
struct line {
    const char *name;
    const char *sink;           /* NULL if there is no p-2-p link. */
    char *why;                  /* Why not. */
    const struct p2p_answer *answer; /* If there is one. */
    struct dpdkr_link_status link; /* Zeros if it is no dpdkr port. */
};

static void
line_init(struct line *line, const struct p2p_bridge *b,
          const struct ofport *ofport)
{
    const struct p2p_port *port = p2p_port_find(b, ofport->ofp_port);

    memset(line, 0, sizeof *line);
    line->name = netdev_get_name(ofport->netdev);
    if (!port) {
        line->why = xasprintf("%s: is no dpdkr port", line->name);
        return;
    }
    if (port->verdict.reason.format) {
        struct ds why = DS_EMPTY_INITIALIZER;

        p2p_verdict_format(port, &why);
        line->why = ds_steal_cstr(&why);
    } else {
        line->answer = port->answer;
        line->sink = netdev_get_name(
            ofproto_get_port(&b->ofproto->up, port->verdict.sink)->netdev);
    }
    dpdkr_link_get_status(ofport->netdev, &line->link);
}

static void
line_destroy(struct line *line)
{
    free(line->why);
    free(line->link.peer);
    free(line->link.error);
}

static void
line_format(const struct line *line, struct ds *s)
{
    ds_put_format(s, "  %s: ", line->name);
    if (line->sink) {
        ds_put_format(s, "to %s", line->sink);
    } else {
        ds_put_format(s, "none, %s", line->why);
    }
    if (line->link.state
        && (line->sink || strcmp(line->link.state, "switch"))) {
        ds_put_format(s, " [%s", line->link.state);
        if (line->link.error) {
            ds_put_format(s, ": %s", line->link.error);
        }
        ds_put_char(s, ']');
    }
    if (line->link.packets) {
        ds_put_format(s, " %"PRIu64" packets, %"PRIu64" bytes",
                      line->link.packets, line->link.bytes);
    }
    ds_put_char(s, '\n');
}

static struct json *
line_to_json(const struct line *line)
{
    struct json *json = json_object_create();

    if (line->sink) {
        struct json *tables = json_array_create_empty();

        /* For those who wonder what is counted where. */
        for (size_t i = 0; i < line->answer->n_hops; i++) {
            json_array_add(tables, json_integer_create(
                               line->answer->hops[i].table_id));
        }
        json_object_put_string(json, "to", line->sink);
        json_object_put(json, "tables", tables);
    } else {
        json_object_put_string(json, "reason", line->why);
    }
    if (line->link.state) {
        json_object_put_string(json, "state", line->link.state);
        if (line->link.peer) {
            json_object_put_string(json, "link", line->link.peer);
        }
        if (line->link.error) {
            json_object_put_string(json, "error", line->link.error);
        }
        json_object_put(json, "packets",
                        json_integer_create(line->link.packets));
        json_object_put(json, "bytes", json_integer_create(line->link.bytes));
    }
    return json;
}

/* Shows the ports of 'b' in 's' or in 'json', whichever is nonnull. */
static void
show_bridge(const struct p2p_bridge *b, struct ds *s, struct json *json)
{
    const struct shash *ports = &b->ofproto->up.port_by_name;
    const struct shash_node **nodes = shash_sort(ports);
    struct json *object = json ? json_object_create() : NULL;

    if (s) {
        ds_put_format(s, "%s:\n", b->ofproto->up.name);
    }
    for (size_t i = 0; i < shash_count(ports); i++) {
        struct line line;

        line_init(&line, b, nodes[i]->data);
        if (s) {
            line_format(&line, s);
        } else {
            json_object_put(object, line.name, line_to_json(&line));
        }
        line_destroy(&line);
    }
    free(nodes);
    if (json) {
        json_object_put(json, b->ofproto->up.name, object);
    }
}

static void
p2p_show(struct unixctl_conn *conn, int argc, const char *argv[],
         void *aux OVS_UNUSED)
{
    const char *name = NULL;
    bool as_json = false;

    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--json")) {
            as_json = true;
        } else if (!name) {
            name = argv[i];
        } else {
            unixctl_command_reply_error(conn, "too many bridges");
            return;
        }
    }

    struct shash bridges = SHASH_INITIALIZER(&bridges);
    struct p2p_bridge *b;

    p2p_run_all();
    HMAP_FOR_EACH (b, node, &p2p_bridges) {
        if (!name || !strcmp(name, b->ofproto->up.name)) {
            shash_add(&bridges, b->ofproto->up.name, b);
        }
    }
    if (name && shash_is_empty(&bridges)) {
        unixctl_command_reply_error(conn, "no such bridge");
        shash_destroy(&bridges);
        return;
    }

    const struct shash_node **nodes = shash_sort(&bridges);
    struct json *json = as_json ? json_object_create() : NULL;
    struct ds s = DS_EMPTY_INITIALIZER;

    for (size_t i = 0; i < shash_count(&bridges); i++) {
        show_bridge(nodes[i]->data, as_json ? NULL : &s, json);
    }
    if (json) {
        json_to_ds(json, JSSF_SORT, &s);
        json_destroy(json);
    }
    unixctl_command_reply(conn, ds_cstr(&s));
    ds_destroy(&s);
    free(nodes);
    shash_destroy(&bridges);
}

void
p2p_show_init(void)
{
    unixctl_command_register("p2p/show", "[--json] [bridge]", 0, 2, p2p_show,
                             NULL);
}
