/* SPDX-License-Identifier: Apache-2.0 */

#ifndef FUZZ_RING_H
#define FUZZ_RING_H 1

#include <dpdkr/ring.h>
#include "fuzz.h"

/* Writes something into the indexes ('kind' 0, 1), the control block (2) or
 * the descriptors (3) of ring 'r'. */
static inline void
fuzz_ring(struct fuzz_input *in, const struct dpdkr_ring_view *r, int kind)
{
    uint32_t *words = (uint32_t *) (void *) r->ctl;

    switch (kind) {
    case 0:
        r->ctl->prod += (int8_t) fuzz_u8(in);
        break;
    case 1:
        r->ctl->cons += (int8_t) fuzz_u8(in);
        break;
    case 2:
        words[fuzz_u8(in) % (sizeof *r->ctl / 4)] = fuzz_u32(in);
        break;
    default:
        fuzz_get(in, &r->descs[fuzz_u8(in) & r->mask], sizeof *r->descs);
        break;
    }
}

#endif /* tests/fuzz/fuzz-ring.h */
