/* SPDX-License-Identifier: Apache-2.0 */

#include <config.h>

#include "p2p-veto.h"

#include <stdlib.h>

#include "cfm.h"
#include "connmgr.h"
#include "dpdkr-link.h"
#include "netdev.h"
#include "ofproto-dpif-ipfix.h"
#include "ofproto-dpif.h"
#include "ofproto-provider.h"
#include "ovs-lldp.h"
#include "smap.h"
#include "util.h"

static struct p2p_reason
no(const char *why)
{
    return (struct p2p_reason) { why, 0 };
}

/* Looks at what is in force for all ports of a bridge. */
struct p2p_reason
p2p_bridge_veto(struct ofproto_dpif *ofproto)
{
    if (ofproto_get_flow_restore_wait()) {
        return no("flows are being restored (flow-restore-wait)");
    }
    if (ofproto->sflow) {
        return no("the bridge has sFlow");
    }
    if (ofproto->netflow) {
        return no("the bridge has NetFlow");
    }
    if (ofproto->ipfix
        && dpif_ipfix_get_bridge_exporter_probability(ofproto->ipfix)) {
        return no("the bridge has IPFIX");
    }
    /* With one of these, the switch takes all BPDUs to itself, also from ports
     * that do not take part. */
    if (ofproto->stp) {
        return no("the bridge has STP");
    }
    if (ofproto->rstp) {
        return no("the bridge has RSTP");
    }
    if (connmgr_has_in_band(ofproto->up.connmgr)) {
        return no("the bridge has in-band control");
    }
    if (ofproto->up.frag_handling != OFPUTIL_FRAG_NORMAL
        && ofproto->up.frag_handling != OFPUTIL_FRAG_NX_MATCH) {
        return no("the bridge drops or reassembles fragments");
    }
    return P2P_YES;
}

static bool
port_has_cfm(const struct ofport *ofport)
{
    struct cfm_status status;

    if (ofproto_dpif_class.get_cfm_status(ofport, &status)) {
        return false;
    }
    free(status.rmps);
    return true;
}

static bool
port_has_bfd(const struct ofport *ofport)
{
    struct smap status = SMAP_INITIALIZER(&status);
    int error;

    error = ofproto_dpif_class.get_bfd_status(
        CONST_CAST(struct ofport *, ofport), &status);
    smap_destroy(&status);
    return !error;
}

/* What rules a port out at either end. */
static struct p2p_reason
port_veto(const struct ofport *ofport,
          const struct p2p_port_settings *settings)
{
    const char *why = NULL;

    if (!dpdkr_link_is_possible(ofport->netdev, &why)) {
        return no(why);
    }
    if (!settings->p2p) {
        return no("is switched off by other_config:p2p=false");
    }
    if (ofport->pp.config & OFPUTIL_PC_PORT_DOWN) {
        return no("is down");
    }
    if (ofport->pp.state & OFPUTIL_PS_LINK_DOWN) {
        return no("has no link");
    }
    if (settings->bonded) {
        return no("is in a bond");
    }
    if (settings->lacp) {
        return no("has LACP");
    }
    if (port_has_cfm(ofport)) {
        return no("has CFM");
    }
    if (port_has_bfd(ofport)) {
        return no("has BFD");
    }
    if (ofproto_dpif_class.get_lldp_status(ofport, NULL)) {
        return no("has LLDP");
    }
    if (netdev_get_pt_mode(ofport->netdev) != NETDEV_PT_LEGACY_L2) {
        return no("is no Ethernet port");
    }
    if (settings->mirror_output) {
        return no("is the output port of a mirror");
    }
    return P2P_YES;
}

/* Looks at what is in force for packets that come in by 'ofport'. */
struct p2p_reason
p2p_source_veto(const struct ofport *ofport,
                const struct p2p_port_settings *settings)
{
    struct p2p_reason reason = port_veto(ofport, settings);

    if (reason.format) {
        return reason;
    }
    if (ofport->pp.config & OFPUTIL_PC_NO_RECV) {
        return no("has no-receive");
    }
    if (ofport->pp.config & OFPUTIL_PC_NO_RECV_STP) {
        return no("has no-receive-stp");
    }
    if (settings->policed) {
        return no("has ingress policing");
    }
    if (settings->mirrored_in) {
        return no("has a mirror of what comes in");
    }
    return P2P_YES;
}

/* Looks at what is in force for packets that go out by 'ofport'. */
struct p2p_reason
p2p_sink_veto(const struct ofport *ofport,
              const struct p2p_port_settings *settings)
{
    struct p2p_reason reason = port_veto(ofport, settings);
    struct smap details = SMAP_INITIALIZER(&details);
    const char *type;
    bool has_qos;

    if (reason.format) {
        return reason;
    }
    if (settings->mirrored_out) {
        return no("has a mirror of what goes out");
    }
    if (settings->marks_dscp) {
        return no("has queues that set DSCP");
    }
    has_qos = !netdev_get_qos(ofport->netdev, &type, &details) && type[0];
    smap_destroy(&details);
    if (has_qos) {
        return no("has QoS");
    }

    /* Packets to an address of the switch may be for a tunnel. */
    struct in6_addr *addrs, *masks;
    int n_addrs;

    if (!netdev_get_addr_list(ofport->netdev, &addrs, &masks, &n_addrs)) {
        free(addrs);
        free(masks);
        if (n_addrs) {
            return no("has an IP address");
        }
    }
    return P2P_YES;
}

/* Looks at what is in force between two ports, neither of which has a veto of
 * its own. */
struct p2p_reason
p2p_pair_veto(const struct p2p_port_settings *source,
              const struct p2p_port_settings *sink)
{
    if (source->protected && sink->protected) {
        return no("both ports are protected");
    }
    if (sink->mtu < source->mtu) {
        return no("the MTU of the other port is smaller");
    }
    return P2P_YES;
}
