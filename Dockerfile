# The build: TypeScript and the packages that it uses, to dist/, which needs nothing else. The npm package `node` brings
# Node to machines without it; the image has its own.
FROM node:26.10.0-bookworm-slim AS build
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts
COPY tsconfig.json ./
COPY build ./build
COPY src ./src
RUN npm run build

FROM node:26.10.0-bookworm-slim
ENV NODE_ENV=production
# Each thread of V8's has an arena of its own in glibc's allocator otherwise, and keeps what it had at its most: 7 MiB in a flood of misses.
ENV MALLOC_ARENA_MAX=1
# A page of the memory tier (1 MiB) is mapped by itself, so that what is given back goes to the system. Once something larger was freed glibc
# would put all pages into its heap, where they stay resident: 285 MiB behind a purge of 100,000 responses instead of 135. It chooses neither
# threshold any more where one is set; the second is what it would make of the first.
ENV MALLOC_MMAP_THRESHOLD_=1048576
ENV MALLOC_TRIM_THRESHOLD_=2097152
# Agents come from other containers; operators do not, unless the admin listener is given an address and a token.
ENV FORECACHE_LISTEN=0.0.0.0:8080
ENV FORECACHE_ADMIN_LISTEN=127.0.0.1:9090
WORKDIR /app
COPY package.json ./
COPY config ./config
COPY --from=build /src/dist ./dist
# The image's user `node`, by number so that Kubernetes can see that it is not root. Nothing in /app is writable for it.
USER 1000:1000
# The admin listener is on loopback here, so there is nothing of it to publish.
EXPOSE 8080
STOPSIGNAL SIGTERM
# Asks FORECACHE_ADMIN_LISTEN: whoever mounts a configuration with another `admin.listen` sets that variable to it.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["node", "/app/dist/healthcheck.js"]
ENTRYPOINT ["node", "/app/dist/main.js"]
CMD ["serve", "--config", "/app/config/forecache.yaml"]
