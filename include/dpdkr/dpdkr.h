/* SPDX-License-Identifier: Apache-2.0 */

#ifndef DPDKR_DPDKR_H
#define DPDKR_DPDKR_H 1

/* libdpdkr: the far end of a dpdkr port, for any program
 * ======================================================
 *
 * A port of type "dpdkr" of Open vSwitch is a piece of shared memory.  This
 * library is the other end of it, in a process or container (through the file
 * that the switch makes) or in a VM (through BAR 2 of the ivshmem device):
 *
 *     struct dpdkr *port;
 *     char error[256];
 *
 *     if (dpdkr_open("/dev/shm/dpdkr/port1", NULL, &port,
 *                    error, sizeof error)) {
 *         errx(1, "%s", error);
 *     }
 *     for (;;) {
 *         struct dpdkr_frame f[32];
 *         unsigned int n = dpdkr_rx_peek(port, 0, f, 32);
 *
 *         (look at f[0].data ... f[n - 1].data)
 *         dpdkr_rx_release(port, 0, n);
 *         dpdkr_run(port);
 *     }
 *
 * It needs neither DPDK nor Open vSwitch, and starts no thread of its own.
 *
 *
 * The link
 * --------
 *
 * The link comes up after dpdkr_open() by way of dpdkr_run(), and goes down
 * and up again when the switch ends and restarts, when it makes the port anew
 * under the same path, and when one side cuts the other off for breaking the
 * format.  None of this needs any action of the program but dpdkr_run().
 * While it is down, nothing is received and nothing is taken for sending.
 *
 *
 * Direct links
 * ------------
 *
 * When the switch finds that all that one port sends goes to another one
 * anyway, it can let the programs at the far ends of the two pass their frames
 * on directly, through another piece of memory.  The library does that by
 * itself: no frame is lost or overtaken when a queue goes over to a link or
 * back.  While frames pass directly the link of the port stays up, even when
 * the switch ends.
 *
 * For that the program must have the directory where the port's file is, not
 * just the file, in its file system.  Otherwise, and in a VM, all frames
 * continue to go through the switch.
 *
 *
 * Threads
 * -------
 *
 * Each receive queue and each transmit queue may be used by one thread at a
 * time, and all of them at the same time.  The functions that do not take a
 * queue may be called by any thread at any time, except that dpdkr_close()
 * must be the last use of the port.
 *
 * A child process of fork() must not use the port, and should close it by
 * calling execve() or _exit(): as long as it keeps the file open, the port
 * appears to be in use.
 *
 *
 * Trust
 * -----
 *
 * Frames that the zero-copy functions give out lie in memory that the switch
 * (or whoever else has mapped it) can change at any time.  Copy what you check
 * before you check it.  The library itself does not crash or go astray
 * whatever is written there; but if the file shrinks while it is mapped, the
 * kernel ends the process with SIGBUS.
 *
 *
 * Units
 * -----
 *
 * Lengths and sizes are bytes.  A frame begins with its Ethernet header and
 * ends before the frame check sequence. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An open port. */
struct dpdkr;

/* Bits in the 'flags' member of struct dpdkr_options. */
#define DPDKR_OPEN_SLEEPS (1u << 0) /* For dpdkr_wait().  Costs the switch a
                                     * memory barrier a burst. */
#define DPDKR_OPEN_WAIT (1u << 1)   /* It is no error if the path does not
                                     * exist yet. */
#define DPDKR_OPEN_BAR (1u << 2)    /* The path is a PCI BAR.  Paths in sysfs
                                     * are recognized without that. */

enum dpdkr_log_level {
    DPDKR_LOG_ERR,
    DPDKR_LOG_WARN,
    DPDKR_LOG_INFO,
    DPDKR_LOG_DBG,
};

/* Options for dpdkr_open().  Start from DPDKR_OPTIONS_INIT, so that members
 * that later versions append have their defaults. */
struct dpdkr_options {
    size_t size;                /* sizeof(struct dpdkr_options). */
    uint32_t flags;             /* DPDKR_OPEN_*. */
    uint32_t n_rxq;             /* Queues to receive from, from queue 0 on;
                                 * 0 for all that the port has. */
    uint32_t n_txq;             /* The same for sending. */

    /* Called, if not NULL, for each message: one line without new-line, valid
     * during the call.  It runs in dpdkr_open(), dpdkr_run(), dpdkr_wait() and
     * dpdkr_close(), and must not call into the library. */
    void (*log)(void *log_aux, enum dpdkr_log_level, const char *message);
    void *log_aux;
};
#define DPDKR_OPTIONS_INIT \
    { sizeof(struct dpdkr_options), 0, 0, 0, NULL, NULL }

/* A frame, or room for one. */
struct dpdkr_frame {
    void *data;
    uint32_t len;               /* Of the frame. */
    uint32_t size;              /* Of the room at 'data'. */
};

/* Counters since dpdkr_open(). */
struct dpdkr_stats {
    uint64_t rx_packets;        /* Given to the program. */
    uint64_t rx_bytes;
    uint64_t rx_runts;          /* Dropped: shorter than 14 bytes. */
    uint64_t rx_drop_size;      /* Dropped: longer than the room given. */
    uint64_t rx_skipped;        /* Left behind by an earlier user of the
                                 * port, not received. */
    uint64_t rx_wakeups;        /* Times that dpdkr_wait() slept. */
    uint64_t tx_packets;        /* Put into the port. */
    uint64_t tx_bytes;
    uint64_t tx_drop_size;      /* Dropped: shorter than 14 bytes or longer
                                 * than a slot. */
    uint64_t tx_full;           /* Not taken, for lack of room. */
};

/* What a port is.  Members marked (*) are zero while the memory does not
 * exist. */
struct dpdkr_info {
    bool link_up;
    bool mapped;                /* The memory exists. */
    uint32_t n_rxq, n_txq;      /* In use. */
    uint32_t n_queues;          /* (*) Queue pairs that the port has. */
    uint32_t ring_size;         /* (*) Frames that a queue holds, or one more
                                 * than that. */
    uint32_t max_frame;         /* (*) Longest frame. */
    uint32_t mtu;               /* (*) L3 bytes; set in the switch. */
    uint8_t mac[6];             /* (*) Address meant for this end, or zeros. */
    char name[64];              /* (*) Port name in the switch. */
    uint8_t id[16];             /* (*) Changes when the memory is made anew. */
    uint32_t switch_pid;        /* (*) 0 if unknown. */
    uint32_t epoch;             /* Grows each time the port is attached. */
    uint64_t n_attached;        /* Times that the port was attached... */
    uint64_t n_cut_by_switch;   /* ...cut off by the switch... */
    uint64_t n_cut_by_us;       /* ...and cut off by this library. */
    const char *last_cut;       /* Why, in words; "none".  Constant. */

    /* "Direct links", above. */
    uint32_t n_links;           /* Links to other ports' far ends. */
    uint32_t n_tx_direct;       /* Queues that send by one, ... */
    uint32_t n_rx_direct;       /* ...queues of others received by one. */
    uint64_t n_handovers;       /* Times that a queue for sending went over to
                                 * a link, or back. */
    uint64_t n_notes;           /* Times that such was noticed in receiving. */
};

/* Opens the port whose memory is the file, or PCI BAR, at 'path'.  'options'
 * may be NULL.  Does not wait for the link to come up.
 *
 * Returns 0 and stores the port, which the caller finally has to give to
 * dpdkr_close(), into '*portp'.  Otherwise returns a positive errno value,
 * stores NULL into '*portp' and a message, which includes 'path', into the
 * 'error_size' bytes at 'error' (which may be NULL if that is 0):
 *
 *     EINVAL     'options' are wrong, or ask for more queues than there are.
 *     ENOENT     There is no such file (and no DPDKR_OPEN_WAIT).
 *     EBUSY      Another process uses the port.
 *     EPROTO     The file is not the memory of a dpdkr port.
 *     ESTALE     It was one, but the switch has given it up (and no
 *                DPDKR_OPEN_WAIT).
 *     others     From the operating system. */
int dpdkr_open(const char *path, const struct dpdkr_options *options,
               struct dpdkr **portp, char *error, size_t error_size);

/* Detaches from the switch and frees 'port', which may be NULL.  No other
 * thread may use it any more; frames given out by dpdkr_rx_peek() and
 * dpdkr_tx_reserve() are gone. */
void dpdkr_close(struct dpdkr *port);

/* Looks after the link.  To be called at least every 100 ms, by any thread or
 * several; dpdkr_wait() does so by itself.  Does not block, and takes a few
 * system calls: call it every so many bursts, not for each. */
void dpdkr_run(struct dpdkr *port);

/* Returns true if the link is up.  Cheap. */
bool dpdkr_link_up(const struct dpdkr *port);

/* Receives up to 'n' frames from receive queue 'queue'.  The caller has set
 * 'data' and 'size' of frames[0 ... n - 1]; what fits is copied, and 'len' is
 * set.  A frame longer than 'size' is dropped and counted.
 *
 * Returns how many frames were received; 0 if there is none, if the link is
 * down or if there is no such queue. */
unsigned int dpdkr_rx_burst(struct dpdkr *port, unsigned int queue,
                            struct dpdkr_frame frames[], unsigned int n);

/* Sends copies of frames[0 ... n - 1] ('data' and 'len'; 'size' does not
 * matter) through transmit queue 'queue'.
 *
 * Returns how many of them, from the first on, are done with; the others found
 * no room and may be tried again.  A frame of an impossible length is done
 * with too: it is dropped and counted.  0 if the link is down. */
unsigned int dpdkr_tx_burst(struct dpdkr *port, unsigned int queue,
                            const struct dpdkr_frame frames[],
                            unsigned int n);

/* Receives without a copy.  Sets 'data', 'len' and 'size' of up to 'n' members
 * of 'frames' and returns their number.  The data is valid until
 * dpdkr_rx_release() for the same queue, and may be written to.
 *
 * Another dpdkr_rx_peek() before that begins with the same frames.  The other
 * functions that receive yield nothing in the meantime.
 *
 * Release soon, whether the link is up or not: the port cannot be attached
 * anew before. */
unsigned int dpdkr_rx_peek(struct dpdkr *port, unsigned int queue,
                           struct dpdkr_frame frames[], unsigned int n);

/* Gives the first 'n' of the frames of the last dpdkr_rx_peek() back.  The
 * others, if any, are received again. */
void dpdkr_rx_release(struct dpdkr *port, unsigned int queue, unsigned int n);

/* Sends without a copy.  Sets 'data' and 'size' of up to 'n' members of
 * 'frames' to room for a frame each, and returns their number.  Write the
 * frames there, set 'len', and call dpdkr_tx_commit(). */
unsigned int dpdkr_tx_reserve(struct dpdkr *port, unsigned int queue,
                              struct dpdkr_frame frames[], unsigned int n);

/* Sends the first 'n' (0 is fine) of the frames of the last
 * dpdkr_tx_reserve(), of which it looks at 'len' only.  The reservation ends.
 *
 * Returns how many were sent.  That is less than 'n' if a length is
 * impossible, which is counted: the frames before that one are sent. */
unsigned int dpdkr_tx_commit(struct dpdkr *port, unsigned int queue,
                             const struct dpdkr_frame frames[],
                             unsigned int n);

/* Returns how many frames of transmit queue 'queue' the switch, or the program
 * at the other end of a direct link, has not taken yet; 0 if the link is down.
 * A program that is about to close the port may want to wait for that: what is
 * left may be dropped when the port is attached the next time. */
unsigned int dpdkr_tx_pending(struct dpdkr *port, unsigned int queue);

/* Sleeps until 'threshold' frames (at least 1) wait in receive queue 'queue',
 * or one does and 'latency_us' microseconds have passed since this function
 * saw it first, or 'timeout_ms' milliseconds have passed (negative: no limit).
 * With a latency of 0, any frame ends the sleep.
 *
 * While it sleeps it does what dpdkr_run() does; while the link is down it
 * waits for it to come up.
 *
 * Returns the number of frames that wait, at most 'threshold'; 0 at the time
 * limit.  Otherwise a negative errno value:
 *
 *     -EINTR     A signal handler ran during the sleep.  One that ran just
 *                before it goes unnoticed: use a time limit.
 *     -EINVAL    The port was opened without DPDKR_OPEN_SLEEPS, or there is no
 *                such queue.
 *     -EBUSY     Frames of this queue have not been released. */
int dpdkr_wait(struct dpdkr *port, unsigned int queue, unsigned int threshold,
               unsigned int latency_us, int timeout_ms);

/* A value for 'queue' of dpdkr_get_stats(). */
#define DPDKR_ALL_QUEUES (~0u)

/* Copies the counters of queue pair 'queue', or the sum of all, into the
 * 'size' bytes (sizeof *stats) at 'stats'.  Returns 0, or EINVAL if there is
 * no such queue. */
int dpdkr_get_stats(const struct dpdkr *port, unsigned int queue,
                    struct dpdkr_stats *stats, size_t size);

/* Describes 'port' in the 'size' bytes (sizeof *info) at 'info'. */
void dpdkr_get_info(struct dpdkr *port, struct dpdkr_info *info, size_t size);

#ifdef __cplusplus
}
#endif

#endif /* dpdkr/dpdkr.h */
