# syntax=docker/dockerfile:1
# Signalbox with git, as an unprivileged user. Agents are not in the image: build on it and add the ones you use.
#
#   docker build -t signalbox .
#   docker run -d --init -p 127.0.0.1:8500:8500 -v ./conf:/etc/signalbox:ro -v signalbox-data:/var/lib/signalbox signalbox
#
# In conf/signalbox.toml: data = "/var/lib/signalbox", listen = "0.0.0.0:8500".
# Restarting the container ends running agents with it; they are taken up again within their rescue budget.

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --profile dist --bin signalbox \
    && install -D target/dist/signalbox /out/signalbox

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates git openssh-client tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/signalbox --create-home --shell /usr/sbin/nologin signalbox \
    && install -d -o signalbox -g signalbox -m 0700 /var/lib/signalbox
COPY --from=build /out/signalbox /usr/local/bin/signalbox
COPY LICENSE /usr/share/doc/signalbox/LICENSE
USER signalbox
WORKDIR /etc/signalbox
VOLUME /var/lib/signalbox
EXPOSE 8500
# A drain waits for the writer and the open requests, never for agents.
STOPSIGNAL SIGTERM
# No HTTP client in the image: bash can ask by itself.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8500 && printf 'GET /health HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3 && read -r _ status _ <&3 && [ \"$status\" = 200 ]"]
# Orphans of agents must be reaped by somebody: tini is process 1 and leaves signals to the service.
ENTRYPOINT ["tini", "--", "signalbox"]
CMD ["serve"]
