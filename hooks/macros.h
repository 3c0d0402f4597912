/* SPDX-License-Identifier: Apache-2.0 */

/* What Coccinelle has to be told about the base's C.
 *
 * spatch does not run the preprocessor.  An annotation that it takes for a
 * syntax error makes it skip the whole function, silently, and a semantic
 * patch then "matches nowhere".  Every macro of the base that stands where C
 * allows no expression or statement must therefore be defined here, as
 * something harmless.  build-aux/apply_hooks.py passes this file to spatch,
 * and counts what each hook changed. */

/* Thread-safety annotations. */
#define OVS_LOCKABLE
#define OVS_ACQUIRES(...)
#define OVS_ACQ_AFTER(...)
#define OVS_ACQ_BEFORE(...)
#define OVS_ACQ_RDLOCK(...)
#define OVS_ACQ_WRLOCK(...)
#define OVS_EXCLUDED(...)
#define OVS_GUARDED
#define OVS_GUARDED_BY(...)
#define OVS_NO_THREAD_SAFETY_ANALYSIS
#define OVS_RELEASES(...)
#define OVS_REQUIRES(...)
#define OVS_REQ_RDLOCK(...)
#define OVS_REQ_WRLOCK(...)
#define OVS_TRY_LOCK(...)
#define OVS_TRY_RDLOCK(...)
#define OVS_TRY_WRLOCK(...)

/* Attributes and storage. */
#define ALWAYS_INLINE
#define BUILD_ASSERT_DECL(...)
#define MALLOC_LIKE
#define OVS_ALIGNED_VAR(...)
#define OVS_CONSTRUCTOR(NAME) void NAME(void)
#define OVS_FORCE
#define OVS_NO_RETURN
#define OVS_PACKED(DECL) DECL
#define OVS_PACKED_ENUM
#define OVS_PRINTF_FORMAT(...)
#define OVS_SCANF_FORMAT(...)
#define OVS_UNUSED
#define OVS_WARN_UNUSED_RESULT
#define DEFINE_STATIC_PER_THREAD_DATA(...)
#define DEFINE_PER_THREAD_MALLOCED_DATA(...)

/* Types that look like calls. */
#define ATOMIC(TYPE) TYPE
#define OVSRCU_TYPE(TYPE) TYPE

/* Members that look like calls. */
#define PADDED_MEMBERS(UNIT, MEMBERS) MEMBERS
#define PADDED_MEMBERS_CACHELINE_MARKER(UNIT, MARKER, MEMBERS) MEMBERS
