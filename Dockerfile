# One image for every role: the command chooses (serve, worker, migrate up, …).
FROM rust:1-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin recado --bin recado-simulator

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --home-dir /var/lib/recado --create-home recado \
    && install -d -o recado -g recado /var/lib/recado/media
COPY --from=build /src/target/release/recado /src/target/release/recado-simulator /usr/local/bin/
# The folder of the SQLite file, for those who run one container and no Postgres.
USER recado
WORKDIR /var/lib/recado
ENV HTTP_ADDR=0.0.0.0:8000 METRICS_ADDR=0.0.0.0:9000
EXPOSE 8000 9000
ENTRYPOINT ["recado"]
CMD ["serve"]
