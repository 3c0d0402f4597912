# SPDX-License-Identifier: Apache-2.0

# Documentation/contents.rst leads to these (hooks/docs-contents.edit).
DOC_SOURCE += \
	Documentation/nfv/benchmarks.rst \
	Documentation/nfv/count.c \
	Documentation/nfv/direct-links.rst \
	Documentation/nfv/dpdkr-abi.rst \
	Documentation/nfv/dpdkr.rst \
	Documentation/nfv/hacking.rst \
	Documentation/nfv/index.rst \
	Documentation/nfv/install.rst \
	Documentation/nfv/news.rst \
	Documentation/nfv/peer.rst \
	Documentation/nfv/security.rst
