# -*- autoconf -*-
# SPDX-License-Identifier: Apache-2.0

# What our own files need of configure, on top of what the base looks for.
# hooks/configure-*.edit put calls of the two macros that are in use into the
# base's configure.ac.

# OVS_NFV_LIBTOOL
#
# Initializes libtool.  The base's libraries are static unless the user asks
# for --enable-shared, as ever: AM_LIBTOOLFLAGS, which applies to whatever has
# no flags of its own, carries libtool's tag for that.  Ours that must be
# shared (libdpdkr, the DPDK driver) set their own, empty LIBTOOLFLAGS.
AC_DEFUN([OVS_NFV_LIBTOOL],
  [ovs_nfv_enable_shared=${enable_shared-no}
   enable_shared=yes
   LT_INIT
   AS_IF([test "x$ovs_nfv_enable_shared" = xno],
         [AM_LIBTOOLFLAGS=--tag=disable-shared])
   AC_SUBST([AM_LIBTOOLFLAGS])])

# OVS_NFV_CHECK_DRIVER
#
# Finds out whether the DPDK driver can be built: with DPDK, and with driver
# headers (third-party/dpdk-driver, which the assembly puts there) that fit it.
#
# Sets DPDK_DRIVER_CFLAGS, DPDK_DRIVER_LIBS and the conditional
# HAVE_DPDK_DRIVER.
AC_DEFUN([OVS_NFV_CHECK_DRIVER],
  [ovs_nfv_driver=no
   AS_IF([test "$DPDKLIB_FOUND" = true],
     [AC_MSG_CHECKING([for DPDK driver headers])
      DPDK_DRIVER_CFLAGS="$DPDK_CFLAGS -DALLOW_INTERNAL_API"
      DPDK_DRIVER_CFLAGS="$DPDK_DRIVER_CFLAGS -DALLOW_EXPERIMENTAL_API"
      ovs_nfv_cppflags=$CPPFLAGS
      ovs_nfv_dir=`cd "$srcdir" && pwd`/third-party/dpdk-driver
      CPPFLAGS="$CPPFLAGS -I$ovs_nfv_dir $DPDK_DRIVER_CFLAGS"
      AC_COMPILE_IFELSE(
        [AC_LANG_PROGRAM([[#include <rte_version.h>
#if RTE_VERSION < RTE_VERSION_NUM(22, 11, 0, 0) \
    || RTE_VERSION >= RTE_VERSION_NUM(22, 12, 0, 0)
#error "not DPDK 22.11"
#endif
#include <ethdev_driver.h>
#include <ethdev_pci.h>
#include <ethdev_vdev.h>
#include <bus_pci_driver.h>
#include <bus_vdev_driver.h>]], [])],
        [ovs_nfv_driver=yes])
      CPPFLAGS=$ovs_nfv_cppflags
      AC_MSG_RESULT([$ovs_nfv_driver])
      ovs_nfv_dir='$(top_srcdir)/third-party/dpdk-driver'
      DPDK_DRIVER_CFLAGS="-I$ovs_nfv_dir $DPDK_DRIVER_CFLAGS"
      AS_IF([test $ovs_nfv_driver = no],
        [AC_MSG_WARN(m4_normalize([the DPDK driver for dpdkr ports will not be
           built: it needs DPDK 22.11 and that version's driver headers in
           third-party/dpdk-driver]))])])
   DPDK_DRIVER_LIBS="`$PKG_CONFIG --libs-only-L libdpdk 2>/dev/null`"
   for ovs_nfv_lib in ethdev net mbuf mempool ring kvargs bus_vdev bus_pci \
       pci eal; do
     DPDK_DRIVER_LIBS="$DPDK_DRIVER_LIBS -lrte_$ovs_nfv_lib"
   done
   AC_SUBST([DPDK_DRIVER_CFLAGS])
   AC_SUBST([DPDK_DRIVER_LIBS])
   AM_CONDITIONAL([HAVE_DPDK_DRIVER], [test $ovs_nfv_driver = yes])])

# OVS_NFV_CFLAGS
#
# Sets NFV_CFLAGS, for what is not part of the switch, to the base's warnings
# without the DPDK flags that AM_CFLAGS has too.
AC_DEFUN([OVS_NFV_CFLAGS],
  [NFV_CFLAGS='-Wstrict-prototypes $(WARNING_FLAGS)'
   NFV_CFLAGS="$NFV_CFLAGS -Werror=implicit-function-declaration"
   AS_CASE([" $OVS_CFLAGS "],
     [*" -Werror "*], [NFV_CFLAGS="$NFV_CFLAGS -Werror"])
   AC_SUBST([NFV_CFLAGS])])

# OVS_NFV_CHECK
#
# All of our checks.
AC_DEFUN([OVS_NFV_CHECK],
  [AC_REQUIRE([AC_PROG_CC])
   OVS_NFV_CHECK_DRIVER
   OVS_NFV_CFLAGS
   AC_CONFIG_FILES([drivers/libdpdkr/libdpdkr.pc])])
