/* SPDX-License-Identifier: Apache-2.0 */

#include <config.h>

#include "dpdkr-offload.h"

#include <netinet/in.h>
#include <netinet/ip6.h>
#include <stdlib.h>

#include "crc32c.h"
#include "csum.h"
#include "dp-packet.h"
#include "dpdkr-packet.h"
#include "packets.h"
#include "unaligned.h"
#include "util.h"

/* Returns true if 'packet' is not a complete frame yet. */
bool
dpdkr_offload_is_needed(const struct dp_packet *packet)
{
    return dp_packet_hwol_is_tso(packet) || dp_packet_hwol_l4_mask(packet);
}

/* Returns the checksum of the 'len' bytes of TCP or UDP at 'l4', whose
 * checksum field is zero. */
static ovs_be16
l4_csum(const void *l3, bool ipv4, const void *l4, size_t len, uint8_t proto)
{
    if (ipv4) {
        uint32_t partial = packet_csum_pseudoheader(l3);

        return csum_finish(csum_continue(partial, l4, len));
    }
    return packet_csum_upperlayer6(l3, l4, proto, len);
}

/* Fills in the checksum that 'packet' asks for.  Returns false if the packet
 * is not what its flags say. */
static bool
finish_csum(struct dp_packet *packet)
{
    bool ipv4 = dp_packet_hwol_is_ipv4(packet);
    void *l3 = dp_packet_l3(packet);
    void *l4 = dp_packet_l4(packet);
    size_t len = l4 ? dp_packet_l4_size(packet) : 0;

    if (!l3 || !l4) {
        return false;
    }
    if (dp_packet_hwol_l4_is_tcp(packet) || dp_packet_hwol_is_tso(packet)) {
        struct tcp_header *tcp = l4;

        if (len < TCP_HEADER_LEN) {
            return false;
        }
        tcp->tcp_csum = 0;
        tcp->tcp_csum = l4_csum(l3, ipv4, l4, len, IPPROTO_TCP);
    } else if (dp_packet_hwol_l4_is_udp(packet)) {
        struct udp_header *udp = l4;

        if (len < UDP_HEADER_LEN) {
            return false;
        }
        udp->udp_csum = 0;
        udp->udp_csum = l4_csum(l3, ipv4, l4, len, IPPROTO_UDP);
        if (!udp->udp_csum) {
            udp->udp_csum = htons(0xffff);
        }
    } else if (dp_packet_hwol_l4_is_sctp(packet)) {
        struct sctp_header *sctp = l4;

        if (len < SCTP_HEADER_LEN) {
            return false;
        }
        put_16aligned_be32(&sctp->sctp_csum, 0);
        put_16aligned_be32(&sctp->sctp_csum, crc32c(l4, len));
    } else {
        return false;
    }
    dp_packet_reset_offload(packet);
    return true;
}

/* Returns segment number 'i' of 'packet': its headers of 'hdr' bytes, adapted,
 * and the 'len' bytes of payload from 'ofs' on. */
static struct dp_packet *
make_segment(const struct dp_packet *packet, size_t hdr, size_t ofs,
             size_t len, unsigned int i, bool last)
{
    struct dp_packet *seg = dpdkr_packet_new(hdr + len);
    bool ipv4 = dp_packet_hwol_is_ipv4(packet);
    struct tcp_header *tcp;
    uint16_t flags;

    memcpy(dp_packet_data(seg), dp_packet_data(packet), hdr);
    memcpy((char *) dp_packet_data(seg) + hdr,
           (const char *) dp_packet_data(packet) + hdr + ofs, len);
    seg->l2_5_ofs = packet->l2_5_ofs;
    seg->l3_ofs = packet->l3_ofs;
    seg->l4_ofs = packet->l4_ofs;
    seg->l2_pad_size = 0;
    *dp_packet_ol_flags_ptr(seg) = *dp_packet_ol_flags_ptr(packet);

    size_t l3_len = hdr + len - seg->l3_ofs;
    if (ipv4) {
        struct ip_header *ip = dp_packet_l3(seg);

        ip->ip_tot_len = htons(l3_len);
        ip->ip_id = htons(ntohs(ip->ip_id) + i);
        ip->ip_csum = 0;
        ip->ip_csum = csum(ip, IP_IHL(ip->ip_ihl_ver) * 4);
    } else {
        struct ovs_16aligned_ip6_hdr *ip6 = dp_packet_l3(seg);

        ip6->ip6_ctlun.ip6_un1.ip6_un1_plen
            = htons(l3_len - sizeof *ip6);
    }

    tcp = dp_packet_l4(seg);
    put_16aligned_be32(&tcp->tcp_seq,
                       htonl(ntohl(get_16aligned_be32(&tcp->tcp_seq)) + ofs));
    flags = TCP_FLAGS(tcp->tcp_ctl);
    if (i) {
        flags &= ~TCP_CWR;
    }
    if (!last) {
        flags &= ~(TCP_FIN | TCP_PSH);
    }
    tcp->tcp_ctl = TCP_CTL(flags, TCP_OFFSET(tcp->tcp_ctl));
    return seg;
}

/* Makes complete frames out of 'packet', of which it takes ownership, for a
 * port with the given 'mtu'.  Returns an array of '*n' packets, in order, that
 * the caller frees with free(), and the packets in it; '*n' is zero if
 * 'packet' is not what its offload flags say. */
struct dp_packet **
dpdkr_offload_finish(struct dp_packet *packet, int mtu, size_t *n)
{
    struct dp_packet **segs = NULL;
    size_t hdr, mss, payload;

    *n = 0;
    if (!dp_packet_hwol_is_tso(packet)) {
        if (!finish_csum(packet)) {
            dpdkr_packet_delete(packet);
            return NULL;
        }
        segs = xmalloc(sizeof *segs);
        segs[(*n)++] = packet;
        return segs;
    }

    const struct tcp_header *tcp = dp_packet_l4(packet);
    if (!dp_packet_l3(packet) || !tcp
        || dp_packet_l4_size(packet) < TCP_HEADER_LEN
        || TCP_OFFSET(tcp->tcp_ctl) * 4 < TCP_HEADER_LEN
        || (dp_packet_l4_size(packet)
            < (size_t) TCP_OFFSET(tcp->tcp_ctl) * 4)) {
        goto exit;
    }
    hdr = packet->l4_ofs + TCP_OFFSET(tcp->tcp_ctl) * 4;
    if (hdr - packet->l3_ofs >= mtu) {
        goto exit;
    }
    mss = mtu - (hdr - packet->l3_ofs);
    payload = (dp_packet_size(packet) - dp_packet_l2_pad_size(packet)
               - hdr);

    segs = xmalloc(sizeof *segs * MAX(1, DIV_ROUND_UP(payload, mss)));
    size_t ofs = 0;
    do {
        size_t len = MIN(mss, payload - ofs);
        struct dp_packet *seg = make_segment(packet, hdr, ofs, len, *n,
                                             ofs + len == payload);

        if (!finish_csum(seg)) {
            dpdkr_packet_delete(seg);
            break;
        }
        segs[(*n)++] = seg;
        ofs += len;
    } while (ofs < payload);

exit:
    dpdkr_packet_delete(packet);
    return segs;
}
