/* SPDX-License-Identifier: Apache-2.0 */

#include "net_dpdkr.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bus_pci_driver.h>
#include <rte_bus_vdev.h>
#include <rte_common.h>
#include <rte_dev.h>
#include <rte_devargs.h>
#include <rte_eal.h>

/* Finding the ports of a VM
 * =========================
 *
 * No kernel driver is needed for an ivshmem-plain device, and a stock guest
 * has none bound to it.  DPDK's PCI bus does not see such a device: it lists
 * only what has a kernel driver.  So each time that EAL scans the vdev bus, we
 * look into sysfs ourselves and add a "net_dpdkr" vdev for each unbound
 * ivshmem device that holds a dpdkr port, as if the user had given --vdev.
 *
 * A device that somebody bound to vfio-pci or a uio driver is on the PCI bus,
 * and probe.c finds it there.  The user's choice of PCI devices (--no-pci, -a,
 * -b) holds for both ways. */

#define IVSHMEM_VENDOR 0x1af4
#define IVSHMEM_DEVICE 0x1110

/* Lets the PCI device in sysfs directory 'dir' answer to its BARs, which
 * without a kernel driver nobody has done.  Returns 0 or a negative errno. */
int
net_dpdkr_enable_pci(const char *dir)
{
    char path[PATH_MAX];
    int error = 0;
    int fd;

    snprintf(path, sizeof path, "%s/enable", dir);
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    char now = '0';
    if (read(fd, &now, 1) != 1 || now == '0') {
        if (pwrite(fd, "1", 1, 0) != 1) {
            error = -errno;
        }
    }
    close(fd);
    return error;
}

/* Returns the number in file 'name' of sysfs directory 'dir', or -1. */
static long
read_number(const char *dir, const char *name)
{
    char path[PATH_MAX];
    long value = -1;
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    f = fopen(path, "re");
    if (f) {
        if (fscanf(f, "%li", &value) != 1) {
            value = -1;
        }
        fclose(f);
    }
    return value;
}

/* Returns true if the user lets PCI device 'name' be used. */
static bool
is_allowed(const char *name)
{
    struct rte_devargs *da;
    bool allow_list = false;

    RTE_EAL_DEVARGS_FOREACH("pci", da) {
        struct rte_pci_addr a, b;
        bool same = (!rte_pci_addr_parse(da->name, &a)
                     && !rte_pci_addr_parse(name, &b)
                     && !rte_pci_addr_cmp(&a, &b));

        if (da->policy == RTE_DEV_BLOCKED) {
            if (same) {
                return false;
            }
        } else if (same) {
            return true;
        } else {
            allow_list = true;
        }
    }
    return !allow_list;
}

/* Returns true if BAR 2 at 'path' begins with the header of a dpdkr port. */
static bool
holds_port(const char *path)
{
    struct dpdkr_geometry g;
    struct stat s;
    bool ok = false;

    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    if (!fstat(fd, &s) && s.st_size >= DPDKR_HEADER_BYTES) {
        const struct dpdkr_header *h
            = mmap(NULL, DPDKR_HEADER_BYTES, PROT_READ, MAP_SHARED, fd, 0);

        if (h != MAP_FAILED) {
            ok = (!dpdkr_geometry_read(&g, h, s.st_size)
                  && h->kind == DPDKR_KIND_PORT);
            munmap((void *) (uintptr_t) h, DPDKR_HEADER_BYTES);
        }
    }
    close(fd);
    return ok;
}

static void
scan_device(const char *name)
{
    char dir[PATH_MAX / 2], path[PATH_MAX], args[2 * PATH_MAX];

    snprintf(dir, sizeof dir, "%s/%s", rte_pci_get_sysfs_path(), name);
    if (read_number(dir, "vendor") != IVSHMEM_VENDOR
        || read_number(dir, "device") != IVSHMEM_DEVICE
        || !is_allowed(name)) {
        return;
    }
    snprintf(path, sizeof path, "%s/driver", dir);
    if (!access(path, F_OK)) {
        return;
    }
    int error = net_dpdkr_enable_pci(dir);
    if (error) {
        NET_DPDKR_LOG(ERR, "%s: cannot enable the device (%s)\n",
                      name, strerror(-error));
        return;
    }
    snprintf(path, sizeof path, "%s/resource2", dir);
    if (!holds_port(path)) {
        return;
    }
    snprintf(args, sizeof args, "net_dpdkr_%s,path=%s", name, path);
    if (rte_devargs_add(RTE_DEVTYPE_VIRTUAL, args)) {
        NET_DPDKR_LOG(ERR, "%s: cannot add a device for it\n", name);
    }
}

static int
compare_names(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* Ports are numbered in the order of their PCI addresses. */
static void
scan_ivshmem(void *aux)
{
    struct dirent **names;
    int n;

    RTE_SET_USED(aux);
    if (!rte_eal_has_pci() || rte_eal_process_type() != RTE_PROC_PRIMARY) {
        return;
    }
    n = scandir(rte_pci_get_sysfs_path(), &names, NULL, compare_names);
    for (int i = 0; i < n; i++) {
        if (names[i]->d_name[0] != '.') {
            scan_device(names[i]->d_name);
        }
        free(names[i]);
    }
    if (n >= 0) {
        free(names);
    }
}

RTE_INIT(net_dpdkr_add_scan)
{
    rte_vdev_add_custom_scan(scan_ivshmem, NULL);
}
