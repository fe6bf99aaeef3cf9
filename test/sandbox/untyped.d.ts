// Libraries without types that the behaviours use.
declare module 'bookshelf';
declare module 'pg-cursor';
declare module 'pg-copy-streams';
