# Egret in one image: the sources run as they stand, there is no build step.
FROM node:24-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --omit=optional

FROM node:24-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json LICENSE ./
COPY bin ./bin
COPY machines ./machines
COPY migrations ./migrations
COPY src ./src
USER node
# Within a container the loopback interface is nobody's; what is published is said where the container is run.
ENV EGRET_HTTP_HOST=0.0.0.0
EXPOSE 4747
# exec form: the signal that stops a container reaches the program, which then drains.
CMD ["node", "--no-memory-reducer", "src/cli/egret.ts", "start"]
