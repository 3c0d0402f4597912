/* SPDX-License-Identifier: Apache-2.0 */

#include "net_dpdkr.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include <bus_pci_driver.h>
#include <bus_vdev_driver.h>
#include <ethdev_pci.h>
#include <ethdev_vdev.h>
#include <rte_kvargs.h>

RTE_LOG_REGISTER(net_dpdkr_logtype, pmd.net.dpdkr, NOTICE);

#define ARG_PATH "path"
#define ARG_QUEUES "queues"
#define ARG_MAC "mac"

static int
refuse_secondary(const char *name)
{
    NET_DPDKR_LOG(ERR, "%s: a dpdkr port belongs to one process, secondary "
                  "processes cannot use it\n", name);
    return -ENOTSUP;
}

/* ## --------------------- ## */
/* ## A process or container ## */
/* ## --------------------- ## */

struct vdev_args {
    const char *path;           /* Owned by the kvargs. */
    uint32_t queues;
    struct rte_ether_addr mac;
    bool has_mac;
};

static int
parse_arg(const char *key, const char *value, void *args_)
{
    struct vdev_args *args = args_;

    if (!value || !*value) {
        return -EINVAL;
    } else if (!strcmp(key, ARG_PATH)) {
        args->path = value;
    } else if (!strcmp(key, ARG_QUEUES)) {
        char *end;
        unsigned long n = strtoul(value, &end, 10);

        if (*end || n < 1 || n > DPDKR_MAX_QUEUES) {
            NET_DPDKR_LOG(ERR, ARG_QUEUES "=%s: not a number from 1 to %d\n",
                          value, DPDKR_MAX_QUEUES);
            return -EINVAL;
        }
        args->queues = n;
    } else {
        if (rte_ether_unformat_addr(value, &args->mac)
            || !rte_is_valid_assigned_ether_addr(&args->mac)) {
            NET_DPDKR_LOG(ERR, ARG_MAC "=%s: not a unicast Ethernet "
                          "address\n", value);
            return -EINVAL;
        }
        args->has_mac = true;
    }
    return 0;
}

static int
vdev_probe__(struct rte_vdev_device *vdev, const struct vdev_args *args)
{
    struct rte_eth_dev *dev;
    int error;

    dev = rte_eth_vdev_allocate(vdev, sizeof(struct net_dpdkr));
    if (!dev) {
        return -ENOMEM;
    }
    error = net_dpdkr_create(dev, args->path, 0, args->queues,
                             args->has_mac ? &args->mac : NULL);
    if (error) {
        if (error == -EPROTO) {
            NET_DPDKR_LOG(ERR, "%s: %s is not the memory of a dpdkr port\n",
                          rte_vdev_device_name(vdev), args->path);
        }
        rte_eth_dev_release_port(dev);
        return error;
    }
    rte_eth_dev_probing_finish(dev);
    return 0;
}

static int
vdev_probe(struct rte_vdev_device *vdev)
{
    static const char *const keys[] = { ARG_PATH, ARG_QUEUES, ARG_MAC, NULL };
    struct vdev_args args = { .queues = DPDKR_MAX_QUEUES };
    const char *name = rte_vdev_device_name(vdev);
    struct rte_kvargs *kvargs;
    int error;

    if (rte_eal_process_type() != RTE_PROC_PRIMARY) {
        return refuse_secondary(name);
    }
    kvargs = rte_kvargs_parse(rte_vdev_device_args(vdev), keys);
    if (!kvargs) {
        NET_DPDKR_LOG(ERR, "%s: cannot parse arguments \"%s\"\n", name,
                      rte_vdev_device_args(vdev));
        return -EINVAL;
    }
    error = rte_kvargs_process(kvargs, NULL, parse_arg, &args);
    if (!error && !args.path) {
        NET_DPDKR_LOG(ERR, "%s: \"" ARG_PATH "=FILE\" is missing\n", name);
        error = -EINVAL;
    }
    if (!error) {
        error = vdev_probe__(vdev, &args);
    }
    rte_kvargs_free(kvargs);
    return error;
}

static int
vdev_remove(struct rte_vdev_device *vdev)
{
    struct rte_eth_dev *dev;

    dev = rte_eth_dev_allocated(rte_vdev_device_name(vdev));
    if (dev) {
        net_dpdkr_dev_close(dev);
        rte_eth_dev_release_port(dev);
    }
    return 0;
}

static struct rte_vdev_driver net_dpdkr_vdev = {
    .probe = vdev_probe,
    .remove = vdev_remove,
};

RTE_PMD_REGISTER_VDEV(net_dpdkr, net_dpdkr_vdev);
RTE_PMD_REGISTER_PARAM_STRING(net_dpdkr,
                              ARG_PATH "=<string> "
                              ARG_QUEUES "=<int> "
                              ARG_MAC "=xx:xx:xx:xx:xx:xx");

/* ## ---- ## */
/* ## A VM ## */
/* ## ---- ## */

/* ivshmem devices are used for many things.  One whose memory is not a dpdkr
 * port is somebody else's and none of our business. */
static int
pci_probe(struct rte_pci_driver *driver, struct rte_pci_device *pci)
{
    struct rte_eth_dev *dev;
    char dir[PATH_MAX - 16], path[PATH_MAX];
    int error;

    RTE_SET_USED(driver);
    if (rte_eal_process_type() != RTE_PROC_PRIMARY) {
        return refuse_secondary(pci->device.name);
    }
    snprintf(dir, sizeof dir, "%s/%s", rte_pci_get_sysfs_path(),
             pci->name);
    snprintf(path, sizeof path, "%s/resource2", dir);
    if (access(path, F_OK)) {
        return 1;
    }
    error = net_dpdkr_enable_pci(dir);
    if (error) {
        NET_DPDKR_LOG(ERR, "%s: cannot enable the device (%s)\n",
                      pci->device.name, strerror(-error));
        return error;
    }

    dev = rte_eth_dev_pci_allocate(pci, sizeof(struct net_dpdkr));
    if (!dev) {
        return -ENOMEM;
    }
    error = net_dpdkr_create(dev, path, DPDKR_PEER_BAR, DPDKR_MAX_QUEUES,
                             NULL);
    if (error) {
        rte_eth_dev_release_port(dev);
        return error == -EPROTO ? 1 : error;
    }
    rte_eth_dev_probing_finish(dev);
    return 0;
}

static int
pci_remove(struct rte_pci_device *pci)
{
    return rte_eth_dev_pci_generic_remove(pci, net_dpdkr_dev_close);
}

static const struct rte_pci_id pci_ids[] = {
    { RTE_PCI_DEVICE(0x1af4, 0x1110) },     /* ivshmem. */
    { .vendor_id = 0 },
};

static struct rte_pci_driver net_dpdkr_pci = {
    .id_table = pci_ids,
    .drv_flags = RTE_PCI_DRV_INTR_LSC,
    .probe = pci_probe,
    .remove = pci_remove,
};

RTE_PMD_REGISTER_PCI(net_dpdkr_pci, net_dpdkr_pci);
RTE_PMD_REGISTER_PCI_TABLE(net_dpdkr_pci, pci_ids);
