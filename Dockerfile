# The harness with the engines that it tests inside: `make image`, or, with a network,
#   docker build --build-arg BASE_IMAGE=debian:trixie --tag seatrial:trixie .
# Other engines or another compiler: another BASE_IMAGE that has them, or PACKAGES. Where the base image has
# everything (as the root file system that `make image` imports), nothing is downloaded.
ARG BASE_IMAGE=debian:bookworm
FROM ${BASE_IMAGE}
ARG PACKAGES="python3 python3-venv git make openssh-client docker.io podman netavark aardvark-dns crun runc \
 fuse-overlayfs uidmap catatonit docker-registry iptables iproute2 ca-certificates curl procps busybox-static xz-utils bzip2"
RUN for tool in python3 git make dockerd podman iptables; do command -v $tool >/dev/null || missing=1; done; \
    [ -z "${missing:-}" ] || { apt-get update \
        && apt-get install --yes --no-install-recommends $PACKAGES $(apt-cache -q=0 show docker-cli >/dev/null 2>&1 && echo docker-cli docker-buildx) \
        && rm -rf /var/lib/apt/lists/*; }
# wheels that lie in container/wheels are all that is used; without any, the index is asked
COPY container/wheels/ /wheels/
COPY pyproject.toml README.md /seatrial/
COPY src/ /seatrial/src/
RUN python3 -m venv /opt/seatrial \
    && if ls /wheels/*.whl >/dev/null 2>&1; then set -- --no-index --find-links /wheels; else set --; fi \
    && /opt/seatrial/bin/pip install --quiet --disable-pip-version-check "$@" "/seatrial[dev]" "hatchling>=1.25,<2" \
    && rm -rf /wheels
COPY container/seatrial-engine container/seatrial-cgroups /usr/local/bin/
ENV SEATRIAL_LABS=never PATH=/opt/seatrial/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
VOLUME /var/lib/docker /var/lib/containers
CMD ["bash"]
