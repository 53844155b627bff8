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
