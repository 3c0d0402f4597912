/* SPDX-License-Identifier: Apache-2.0 */

#include <config.h>

/* p2p-load VCONN: sends bundles to a switch, over one connection
 * ===============================================================
 *
 * Each line of standard input is the name of a file with flow mods and group
 * mods in the format of "ovs-ofctl bundle".  They go to the switch as one
 * OpenFlow 1.5 bundle, and a line of standard output tells what became of it:
 * "ok", or "refused: " and why, after which the tables are as before.
 *
 * This is "ovs-ofctl bundle", but for the time it takes to start. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "openvswitch/dynamic-string.h"
#include "openvswitch/list.h"
#include "openvswitch/ofp-bundle.h"
#include "openvswitch/ofp-errors.h"
#include "openvswitch/ofp-protocol.h"
#include "openvswitch/ofpbuf.h"
#include "openvswitch/vconn.h"
#include "openvswitch/vlog.h"
#include "packets.h"
#include "socket-util.h"
#include "util.h"

/* Returns the errors in 'errors', which is empty afterward. */
static char *
errors_to_string(struct ovs_list *errors)
{
    struct ds s = DS_EMPTY_INITIALIZER;
    struct ofpbuf *msg;

    LIST_FOR_EACH_POP (msg, list_node, errors) {
        ds_put_format(&s, " %s",
                      ofperr_get_name(ofperr_decode_msg(msg->data, NULL)));
        ofpbuf_delete(msg);
    }
    return ds_steal_cstr(&s);
}

static void
load(struct vconn *vconn, const char *path)
{
    enum ofputil_protocol usable;
    struct ofputil_bundle_msg *msgs;
    struct ovs_list requests, errors;
    size_t n;
    int error;

    char *why = parse_ofp_bundle_file(path, NULL, NULL, &msgs, &n, &usable);
    if (why) {
        printf("refused: %s\n", why);
        free(why);
        return;
    }

    ovs_list_init(&requests);
    if (usable & OFPUTIL_P_OF15_OXM) {
        ofputil_encode_bundle_msgs(msgs, n, &requests, OFPUTIL_P_OF15_OXM);
    }
    ofputil_free_bundle_msgs(msgs, n);
    if (ovs_list_is_empty(&requests)) {
        puts("refused: nothing for OpenFlow 1.5");
        return;
    }

    error = vconn_bundle_transact(vconn, &requests,
                                  OFPBF_ORDERED | OFPBF_ATOMIC, &errors);
    ofpbuf_list_delete(&requests);
    why = errors_to_string(&errors);
    if (error && error != EPROTO) {
        ovs_fatal(error, "talking to %s", vconn_get_name(vconn));
    } else if (error || why[0]) {
        printf("refused:%s\n", why);
    } else {
        puts("ok");
    }
    free(why);
}

int
main(int argc, char *argv[])
{
    struct ds line = DS_EMPTY_INITIALIZER;
    struct vconn *vconn;
    int error;

    set_program_name(argv[0]);
    vlog_set_levels(NULL, VLF_ANY_DESTINATION, VLL_OFF);
    if (argc != 2) {
        ovs_fatal(0, "usage: %s VCONN", program_name);
    }

    error = vconn_open(argv[1], 1u << OFP15_VERSION, DSCP_DEFAULT, &vconn);
    if (!error) {
        error = vconn_connect_block(vconn, -1);
    }
    if (error) {
        ovs_fatal(error, "%s", argv[1]);
    }

    while (!ds_get_line(&line, stdin)) {
        load(vconn, ds_cstr(&line));
        fflush(stdout);
    }
    ds_destroy(&line);
    vconn_close(vconn);
    return 0;
}
