<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{{title}}</title><link rel="stylesheet" href="/static/style.css"></head>
<body>
<h1>{{title}}</h1>
<table>
<thead><tr><th>#</th><th>Name</th><th>Quantity</th><th>Note</th></tr></thead>
<tbody>
% for row in rows:
<tr><td>{{row.id}}</td><td>{{row.name}}</td><td>{{row.quantity}}</td><td>{{row.note}}</td></tr>
% end
</tbody>
</table>
<p>{{count}} items, {{total}} pieces.</p>
</body>
</html>
