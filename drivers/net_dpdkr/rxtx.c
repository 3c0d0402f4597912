/* SPDX-License-Identifier: Apache-2.0 */

#include "net_dpdkr.h"

#include <rte_mbuf.h>
#include <rte_memcpy.h>
#include <rte_prefetch.h>

/* How far ahead slots and mbufs are prefetched in a burst, in frames.  What
 * comes from another core takes as long as that many small frames do. */
#define AHEAD 16

/* How many frames of the next burst are prefetched at the end of one. */
#define NEXT_AHEAD 8

/* How far ahead the slots to send in are prefetched, which is so far that a
 * burst prefetches the first ones of the next: the other core had them
 * last. */
#define SLOTS_AHEAD 16

/* What 'rearm_data' of an mbuf with one frame for port 'port_id' is. */
uint64_t
net_dpdkr_rearm(uint16_t port_id)
{
    struct rte_mbuf m;
    uint64_t rearm;

    memset(&m, 0, sizeof m);
    m.data_off = RTE_PKTMBUF_HEADROOM;
    m.refcnt = 1;
    m.nb_segs = 1;
    m.port = port_id;
    memcpy(&rearm, &m.rearm_data, sizeof rearm);
    return rearm;
}

/* Makes 'm', as it comes out of a mempool (where 'next' is NULL), an mbuf with
 * one segment of 'len' bytes. */
static inline void
init_mbuf(const struct net_dpdkr_rxq *rxq, struct rte_mbuf *m, uint32_t len)
{
    memcpy(&m->rearm_data, &rxq->rearm, sizeof rxq->rearm);
    m->ol_flags = 0;
    m->packet_type = 0;
    m->pkt_len = len;
    m->data_len = len;
    m->vlan_tci = 0;
    m->hash.rss = 0;
}

/* Copies a frame of 'len' bytes out of a slot.  Copies whole cache lines if
 * there is room: slots consist of them, and it takes no branches for what is
 * left over. */
static __rte_always_inline void
copy_from_slot(uint8_t *dst, const uint8_t *src, uint32_t len, uint32_t room)
{
    uint32_t rounded = RTE_ALIGN_CEIL(len, DPDKR_CACHE_LINE);

    if (likely(rounded <= room)) {
        for (uint32_t i = 0; i < rounded; i += DPDKR_CACHE_LINE) {
            rte_mov64(dst + i, src + i);
        }
    } else {
        rte_memcpy(dst, src, len);
    }
}

/* Copies a frame of 'len' bytes that does not fit into 'head' alone into a
 * chain of mbufs.  Returns false, with 'head' as it was, if there are not
 * enough of them. */
static bool
scatter_frame(struct net_dpdkr_rxq *rxq, struct rte_mbuf *head,
              const uint8_t *data, uint32_t len)
{
    struct rte_mbuf *last = head;
    uint32_t done = rxq->room;

    init_mbuf(rxq, head, rxq->room);
    rte_memcpy(rte_pktmbuf_mtod(head, void *), data, rxq->room);
    while (done < len) {
        struct rte_mbuf *m = rte_mbuf_raw_alloc(rxq->pool);
        uint32_t part = RTE_MIN(len - done, rxq->room);

        if (unlikely(!m)) {
            rte_pktmbuf_free(head->next);
            head->next = NULL;
            head->nb_segs = 1;
            return false;
        }
        init_mbuf(rxq, m, part);
        rte_memcpy(rte_pktmbuf_mtod(m, void *), data + done, part);
        last->next = m;
        last = m;
        head->nb_segs++;
        done += part;
    }
    head->pkt_len = len;
    return true;
}

/* Receives up to 'n' frames out of the ring of 'c', one of those of 'rxq'. */
static __rte_always_inline uint16_t
rx_ring(struct net_dpdkr_rxq *rxq, struct dpdkr_consumer *c,
        struct rte_mbuf **bufs, uint32_t n)
{
    uint32_t n_done, runts, too_long;
    uint16_t n_rx = 0;
    uint64_t bytes = 0;

    n = dpdkr_consumer_avail(c, n);
    if (!n) {
        if (unlikely(c->broken)) {
            dpdkr_links_rx_broken(&rxq->q, c);
        }
        return 0;
    }
    dpdkr_consumer_prefetch_descs(c, n - 1);
    for (uint32_t i = 0; i < n && i < AHEAD; i++) {
        dpdkr_consumer_prefetch(c, i);
    }

    /* What finds no mbuf stays in the ring. */
    while (unlikely(rte_mempool_get_bulk(rxq->pool, (void **) bufs, n))) {
        dpdkr_peer_count(&rxq->q.drop_other, 1);
        n /= 2;
        if (!n) {
            return 0;
        }
    }
    for (uint32_t i = 0; i < n && i < AHEAD; i++) {
        rte_prefetch0_write(bufs[i]);
        rte_prefetch0_write((uint8_t *) bufs[i]->buf_addr
                            + RTE_PKTMBUF_HEADROOM);
    }

    runts = too_long = 0;
    for (n_done = 0; n_done < n; n_done++) {
        struct rte_mbuf *m = bufs[n_rx];
        const uint8_t *data;
        uint32_t len;

        if (n_done + AHEAD < n) {
            dpdkr_consumer_prefetch(c, n_done + AHEAD);
            rte_prefetch0_write(bufs[n_done + AHEAD]);
            rte_prefetch0_write((uint8_t *) bufs[n_done + AHEAD]->buf_addr
                                + RTE_PKTMBUF_HEADROOM);
        }
        data = dpdkr_consumer_frame(c, n_done, &len);
        if (unlikely(!data)) {
            break;
        } else if (unlikely(len < DPDKR_MIN_FRAME)) {
            runts++;
            continue;
        } else if (likely(len <= rxq->room)) {
            copy_from_slot((uint8_t *) m->buf_addr + RTE_PKTMBUF_HEADROOM,
                           data, len, rxq->room);
            init_mbuf(rxq, m, len);
        } else if (!rxq->scatter) {
            too_long++;
            continue;
        } else if (!scatter_frame(rxq, m, data, len)) {
            dpdkr_peer_count(&rxq->q.drop_other, 1);
            break;
        }
        bytes += len;
        n_rx++;
    }
    dpdkr_consumer_release(c, n_done);
    dpdkr_consumer_prefetch_known(c, NEXT_AHEAD);
    dpdkr_peer_count(&rxq->q.packets, n_rx);
    dpdkr_peer_count(&rxq->q.bytes, bytes);

    if (unlikely(n_rx < n)) {
        rte_mempool_put_bulk(rxq->pool, (void **) &bufs[n_rx], n - n_rx);
        if (runts) {
            dpdkr_consumer_count_runts(c, runts);
            dpdkr_peer_count(&rxq->q.runts, runts);
        }
        dpdkr_peer_count(&rxq->q.drop_size, too_long);
        if (c->broken) {
            dpdkr_links_rx_broken(&rxq->q, c);
        }
    }
    return n_rx;
}

/* Receives out of all the rings that 'rxq' has, and sees to what stands there
 * for the driver. */
static __rte_noinline uint16_t
rx_all(struct net_dpdkr_rxq *rxq, struct rte_mbuf **bufs, uint16_t n)
{
    struct dpdkr_links_iter it;
    struct dpdkr_consumer *c;
    uint16_t n_rx = 0;

    dpdkr_links_rx_start(&rxq->q, &it);
    while (n_rx < n && (c = dpdkr_links_rx_next(&rxq->q, &it)) != NULL) {
        uint16_t n_new;

        c->at_note = false;
        n_new = rx_ring(rxq, c, bufs + n_rx, n - n_rx);
        if (!n_new) {
            dpdkr_links_rx_nothing(&rxq->q, &it);
        }
        n_rx += n_new;
    }
    return n_rx;
}

uint16_t
net_dpdkr_rx_burst(void *rxq_, struct rte_mbuf **bufs, uint16_t n)
{
    struct net_dpdkr_rxq *rxq = rxq_;
    uint16_t n_rx = 0;

    if (likely(dpdkr_peer_enter(&rxq->q))) {
        bool plain = dpdkr_links_rx_is_plain(&rxq->q);

        if (likely(plain)) {
            n_rx = rx_ring(rxq, &rxq->q.c, bufs, n);
        }
        if (unlikely(!plain || (!n_rx && rxq->q.c.at_note))) {
            n_rx = rx_all(rxq, bufs, n);
        }
    }
    dpdkr_peer_leave(&rxq->q);
    return n_rx;
}

/* Copies the segments of 'm' into the 'size' bytes at 'dst'.  Returns their
 * number, or 0 if there are more. */
static uint32_t
gather_frame(uint8_t *dst, uint32_t size, const struct rte_mbuf *m)
{
    uint32_t len = 0;

    for (; m; m = m->next) {
        if (m->data_len > size - len) {
            return 0;
        }
        rte_memcpy(dst + len, rte_pktmbuf_mtod(m, const void *), m->data_len);
        len += m->data_len;
    }
    return len;
}

uint16_t
net_dpdkr_tx_burst(void *txq_, struct rte_mbuf **bufs, uint16_t n)
{
    struct net_dpdkr_txq *txq = txq_;
    struct dpdkr_producer *p;
    uint32_t room, slot_size;
    uint32_t n_done = 0, n_tx = 0;
    bool chained = false;
    uint64_t bytes = 0;

    if (unlikely(!dpdkr_peer_enter(&txq->q))) {
        goto out;
    }
    p = dpdkr_links_tx(&txq->q);
    if (unlikely(!p)) {
        dpdkr_peer_count(&txq->q.full, n);
        goto out;
    }
    room = dpdkr_producer_room(p, n);
    slot_size = p->r.slot_size;
    for (uint32_t i = 0; i < room && i < AHEAD; i++) {
        rte_prefetch0(rte_pktmbuf_mtod(bufs[i], const void *));
    }
    for (; n_done < n; n_done++) {
        struct rte_mbuf *m = bufs[n_done];
        uint32_t len;

        if (unlikely(n_tx >= room)) {
            break;
        }
        if (n_done + AHEAD < room) {
            rte_prefetch0(rte_pktmbuf_mtod(bufs[n_done + AHEAD],
                                           const void *));
        }
        dpdkr_producer_prefetch(p, n_tx + SLOTS_AHEAD);
        if (likely(m->nb_segs == 1)) {
            len = m->data_len;
            if (unlikely(len < DPDKR_MIN_FRAME || len > slot_size)) {
                continue;
            }
            rte_memcpy(dpdkr_producer_slot(p, n_tx),
                       rte_pktmbuf_mtod(m, const void *), len);
        } else {
            chained = true;
            len = gather_frame(dpdkr_producer_slot(p, n_tx), slot_size, m);
            if (unlikely(len < DPDKR_MIN_FRAME)) {
                continue;
            }
        }
        dpdkr_producer_set(p, n_tx, len);
        bytes += len;
        n_tx++;
    }
    if (likely(n_tx)) {
        dpdkr_producer_publish(p, n_tx);
        dpdkr_producer_prefetch_descs(p, 0, n_tx);
        dpdkr_peer_count(&txq->q.packets, n_tx);
        dpdkr_peer_count(&txq->q.bytes, bytes);
    }
    if (unlikely(n_done > n_tx)) {
        dpdkr_producer_count_drops(p, 0, n_done - n_tx, 0);
        dpdkr_peer_count(&txq->q.drop_size, n_done - n_tx);
    }
    if (unlikely(n_done < n)) {
        dpdkr_peer_count(&txq->q.full, n - n_done);
        if (p->broken) {
            dpdkr_links_tx_broken(&txq->q, p);
        }
    }

out:
    dpdkr_peer_leave(&txq->q);
    if (txq->fast_free && !chained && n_done) {
        rte_mempool_put_bulk(bufs[0]->pool, (void **) bufs, n_done);
    } else {
        rte_pktmbuf_free_bulk(bufs, n_done);
    }
    return n_done;
}
