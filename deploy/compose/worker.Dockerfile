# A worker has in it what actions need, so put your toolchain here: NativeLink's own image has its program and nothing else, not even a shell.
ARG NATIVELINK_IMAGE
ARG TOOLCHAIN_IMAGE=debian:trixie-slim
FROM ${NATIVELINK_IMAGE} AS nativelink

FROM ${TOOLCHAIN_IMAGE}
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates g++ python3 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=nativelink /bin/nativelink /usr/local/bin/nativelink
ENTRYPOINT ["nativelink"]
