# The gateway alone, for a NativeLink that runs elsewhere.
#
#   docker build -t nativelink-gateway .
#   docker run --network host -v "$PWD/gateway.json5:/etc/nativelink-gateway/gateway.json5:ro" nativelink-gateway
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /source
COPY requirements/run.txt requirements/build.txt requirements/
# What goes into the image: what running needs, and not even pip. What makes a package of the project is of this stage alone.
RUN python -m venv --without-pip /opt/nativelink-gateway
RUN pip --python /opt/nativelink-gateway/bin/python install --require-hashes -r requirements/run.txt
RUN pip install --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY gateway gateway
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheel .
RUN pip --python /opt/nativelink-gateway/bin/python install --no-deps --no-index /wheel/*.whl \
    && python -m compileall -q /opt/nativelink-gateway

FROM ${PYTHON_IMAGE}
RUN groupadd --gid 10001 gateway \
    && useradd --uid 10001 --gid gateway --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin gateway \
    && install -d -m 0700 -o gateway -g gateway /var/lib/nativelink-gateway \
    && install -d -m 0750 -o gateway -g gateway /credentials
COPY --from=build /opt/nativelink-gateway /opt/nativelink-gateway
ENV PATH=/opt/nativelink-gateway/bin:$PATH PYTHONUNBUFFERED=1 STATE_DIRECTORY=/var/lib/nativelink-gateway
# By number: Kubernetes has to see that it is not root.
USER 10001:10001
VOLUME /var/lib/nativelink-gateway
EXPOSE 50062
# The loop of `serve` runs; whether it has something to say is /readyz, and not a reason to be restarted.
HEALTHCHECK --interval=10s --timeout=5s --start-period=15s \
    CMD ["python", "-m", "gateway.alive", "50062"]
ENTRYPOINT ["nativelink-gateway"]
CMD ["run", "--config", "/etc/nativelink-gateway/gateway.json5"]
